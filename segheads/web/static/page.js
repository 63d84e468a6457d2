// One picture, one or two models, and what they find in it.

const element = (id) => document.getElementById(id);
const RESULTS_KEPT = 8;  // of each picture, by model

let models = [];
let limits = {};
let picture = null;  // { blob, results: Map from model to promise }
let shown = [null, null];  // { classes, colours, map, width, height, areas, seconds } left, right
let pinned = null;  // name of the class that is singled out
// Numbers of the latest choice and request, so that an older one does not replace a newer.
let newestChoice = 0;
let newestRequest = 0;

// ---- choosing a picture ----

async function choose(blob, name, sample = null) {
  const choice = ++newestChoice;
  if (blob.size > limits.bytes) {
    return say(`${name} is larger than ${limits.bytes / 2 ** 20} MB, which is the limit.`);
  }
  if (!blob.type.startsWith('image/')) {
    return say(`${name} is not a picture; choose one of the format ${formats()}.`);
  }
  const source = URL.createObjectURL(blob);
  try {
    // Before it replaces the picture that is shown.
    await Object.assign(new Image(), { src: source }).decode();
  } catch {
    URL.revokeObjectURL(source);
    return say(`${name} cannot be shown; it is damaged or no picture.`);
  }
  if (choice !== newestChoice) return URL.revokeObjectURL(source);
  URL.revokeObjectURL(element('picture').src);
  Object.assign(element('picture'), { src: source, alt: name });
  await element('picture').decode();
  picture = { blob, results: new Map() };
  shown = [null, null];
  pinned = null;
  single(null);  // the classes of the picture before
  press(sample);
  setUpStage();
  return run();
}

async function chooseSample(button, number) {
  try {
    const answer = await fetch(`api/samples/${number}`);
    if (!answer.ok) throw new Error(await reason(answer));
    await choose(await answer.blob(), `Scene ${number + 1}`, button);
  } catch (error) {
    say(told(error));
  }
}

function press(chosen) {
  for (const button of element('samples').children) {
    button.setAttribute('aria-pressed', String(button === chosen));
  }
}

// ---- asking the models ----

async function run() {
  const request = ++newestRequest;
  const chosen = [element('model-a').value, element('model-b').value];
  warnOfRandomWeights(chosen);
  if (!picture) return;
  say('');
  element('working').hidden = false;
  element('status').textContent = '';
  try {
    const results = await Promise.all(chosen.map((model) => model && predict(picture, model)));
    if (request !== newestRequest) return;
    shown = results.map((result) => result || null);
    show();
  } catch (error) {
    if (request !== newestRequest) return;
    shown = [null, null];
    show();
    say(told(error));
  } finally {
    if (request === newestRequest) element('working').hidden = true;
  }
}

function predict(of, model) {
  if (!of.results.has(model)) {
    if (of.results.size >= RESULTS_KEPT) of.results.clear();
    const result = ask(of.blob, model);
    result.catch(() => of.results.delete(model));
    of.results.set(model, result);
  }
  return of.results.get(model);
}

async function ask(blob, model) {
  const answer = await fetch(`api/predict?model=${model}`, {
    method: 'POST',
    headers: { 'Content-Type': blob.type },
    body: blob,
  });
  if (!answer.ok) throw new Error(await reason(answer));
  const result = await answer.json();
  const bytes = Uint8Array.from(atob(result.classMap), (letter) => letter.charCodeAt(0));
  const { label, classes } = models[model];
  return { ...result, label, classes, map: new Uint16Array(bytes.buffer) };
}

async function reason(answer) {
  const content = await answer.json().catch(() => ({}));
  const detail = typeof content.detail === 'string' ? content.detail : 'the server failed';
  return `${detail[0].toUpperCase()}${detail.slice(1)}.`;
}

const told = (error) =>
  error instanceof TypeError ? 'The server does not answer; is it still running?' : error.message;

// ---- showing the answer ----

function setUpStage() {
  const { naturalWidth, naturalHeight } = element('picture');
  element('stage').style.setProperty('--ratio', naturalWidth / naturalHeight);
  element('stage').hidden = false;
  element('sliders').hidden = false;
  element('another').hidden = false;
  element('drop').hidden = true;
}

function show() {
  const [left, right] = shown;
  single(pinned);
  element('side-a').textContent = left ? left.label : '';
  element('side-b').textContent = right ? right.label : left ? 'Picture' : '';
  element('divider').hidden = !left;
  element('classes').hidden = !left;
  if (!left) return;
  listClasses();
  const { naturalWidth, naturalHeight } = element('picture');
  const size = `${left.width} × ${left.height} pixels`;
  element('status').textContent = [
    right ? `Left in ${seconds(left)}, right in ${seconds(right)}` : `In ${seconds(left)}`,
    naturalWidth > left.width ? `scaled down from ${naturalWidth} × ${naturalHeight}` : '',
    size,
  ].filter(Boolean).join(' · ');
}

const seconds = (result) => `${result.seconds.toFixed(2)} s`;

/** Paints both class maps; of the other classes than `name` only a hint. */
function single(name) {
  paint(element('overlay-a'), shown[0], name);
  paint(element('overlay-b'), shown[1], name);
}

function paint(canvas, result, name) {
  canvas.hidden = !result;
  if (!result) return;
  canvas.width = result.width;
  canvas.height = result.height;
  const colours = Uint32Array.from(result.classes, ({ name: each, colour }) => {
    const [red, green, blue] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
    const alpha = name === null || name === each ? 255 : 25;
    return ((alpha << 24) | (blue << 16) | (green << 8) | red) >>> 0;
  });
  const context = canvas.getContext('2d');
  const image = context.createImageData(result.width, result.height);
  const pixels = new Uint32Array(image.data.buffer);
  for (let at = 0; at < pixels.length; at += 1) pixels[at] = colours[result.map[at]];
  context.putImageData(image, 0, 0);
}

function listClasses() {
  const results = shown.filter(Boolean);
  const rows = new Map();  // by name, because two models may order their classes differently
  results.forEach(({ classes, areas }, column) => classes.forEach(({ name, colour }, index) => {
    if (areas[index] === 0) return;
    if (!rows.has(name)) rows.set(name, { colours: new Set(), areas: results.map(() => 0) });
    rows.get(name).colours.add(colour);
    rows.get(name).areas[column] += areas[index];
  }));
  const sorted = [...rows].sort(
    ([, one], [, other]) => Math.max(...other.areas) - Math.max(...one.areas),
  );
  const [head, body] = [document.querySelector('thead'), document.querySelector('tbody')];
  const titles = ['Class', ...(results.length > 1 ? ['Left', 'Right'] : ['Area'])];
  head.replaceChildren(make('tr', {}, ...titles.map((title) => make('th', { scope: 'col' }, title))));
  const largest = Math.max(...sorted.flatMap(([, { areas }]) => areas));
  body.replaceChildren(...sorted.map(([name, { colours, areas }]) => {
    const swatches = [...colours].map((colour) => {
      const swatch = make('span', { className: 'swatch' });
      swatch.style.background = colour;
      return swatch;
    });
    const button = make('button', { type: 'button' }, ...swatches, name);
    button.setAttribute('aria-pressed', String(pinned === name));
    button.addEventListener('click', () => {
      pinned = pinned === name ? null : name;
      for (const other of body.querySelectorAll('button')) {
        other.setAttribute('aria-pressed', String(other === button && pinned !== null));
      }
      single(pinned);
    });
    button.addEventListener('pointerenter', () => single(name));
    button.addEventListener('pointerleave', () => single(pinned));
    const cells = areas.map((area) => {
      const cell = make('td', {}, `${(100 * area).toFixed(1)} %`);
      cell.style.setProperty('--length', area / largest);
      cell.style.setProperty('--colour', [...colours][0]);
      return cell;
    });
    return make('tr', {}, make('td', {}, button), ...cells);
  }));
}

function warnOfRandomWeights(chosen) {
  const isRandom = chosen.some((model) => model && !models[model].checkpoint);
  element('random').hidden = !isRandom;
}

function say(text) {
  element('message').textContent = text;
  element('message').hidden = !text;
}

function make(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// ---- sliders, pointer, drag and drop ----

function slide() {
  element('stage').style.setProperty('--wipe', element('wipe').value);
  element('stage').style.setProperty('--opacity', element('opacity').value / 100);
  // A side of which nothing is left needs no name.
  element('side-a').hidden = element('wipe').value < 1;
  element('side-b').hidden = element('wipe').value > 99;
}

function wipeTo(event) {
  const box = element('stage').getBoundingClientRect();
  element('wipe').value = (100 * (event.clientX - box.left)) / box.width;
  slide();
}

function point(event) {
  const box = element('stage').getBoundingClientRect();
  const [x, y] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  const result = 100 * x <= Number(element('wipe').value) ? shown[0] : shown[1];
  const isInside = x >= 0 && x < 1 && y >= 0 && y < 1;
  element('pointed').hidden = !result || !isInside;
  if (element('pointed').hidden) return;
  const pixel = Math.floor(y * result.height) * result.width + Math.floor(x * result.width);
  element('pointed').textContent = result.classes[result.map[pixel]].name;
  element('pointed').style.left = `${100 * x}%`;
  element('pointed').style.top = `${Math.max(100 * y, 12)}%`;
}

function listen() {
  const stage = element('stage');
  element('file').addEventListener('change', (event) => {
    const [file] = event.target.files;
    if (file) choose(file, file.name);
    event.target.value = '';  // so that the same file can be chosen again
  });
  element('model-a').addEventListener('change', run);
  element('model-b').addEventListener('change', run);
  element('wipe').addEventListener('input', slide);
  element('opacity').addEventListener('input', slide);
  stage.addEventListener('pointerdown', (event) => {
    stage.setPointerCapture(event.pointerId);
    wipeTo(event);
  });
  stage.addEventListener('pointermove', (event) => {
    if (stage.hasPointerCapture(event.pointerId)) wipeTo(event);
    point(event);
  });
  stage.addEventListener('pointerleave', () => { element('pointed').hidden = true; });
  stage.addEventListener('dragstart', (event) => event.preventDefault());
  document.addEventListener('dragover', (event) => {
    event.preventDefault();
    document.body.classList.add('dragging');
  });
  document.addEventListener('dragleave', () => document.body.classList.remove('dragging'));
  document.addEventListener('drop', (event) => {
    event.preventDefault();
    document.body.classList.remove('dragging');
    const [file] = event.dataTransfer.files;
    if (file) choose(file, file.name);
  });
}

// ---- start ----

const formats = () => limits.formats.join(', ');

async function start() {
  listen();
  slide();
  const answer = await fetch('api/models');
  if (!answer.ok) throw new Error(await reason(answer));
  const offered = await answer.json();
  ({ models, limits } = offered);
  const options = () => models.map(({ label, checkpoint }, index) => make(
    'option', { value: index }, checkpoint ? label : `${label} (random weights)`,
  ));
  element('model-a').append(...options());
  element('model-b').append(make('option', { value: '' }, 'The picture itself'), ...options());
  element('limits').textContent = `${formats()}, up to ${limits.bytes / 2 ** 20} MB and `
    + `${limits.pixels / 1e6} million pixels; what is larger than ${limits.side} pixels is `
    + 'scaled down.';
  element('file').accept = limits.formats.map((format) => `image/${format.toLowerCase()}`).join();
  for (let number = 0; number < offered.samples; number += 1) {
    const image = make('img', { src: `api/samples/${number}`, alt: `Scene ${number + 1}` });
    const button = make('button', { type: 'button' }, image);
    button.setAttribute('aria-pressed', 'false');
    button.addEventListener('click', () => chooseSample(button, number));
    element('samples').append(button);
  }
  warnOfRandomWeights([element('model-a').value]);
}

start().catch((error) => say(told(error)));
