"""The page in a real browser, headless Chromium."""

import shutil
import threading

import numpy as np
import pytest
from PIL import Image

from segheads.inference.prediction import predict

pytest.importorskip('fastapi')
pytest.importorskip('selenium')
uvicorn = pytest.importorskip('uvicorn')

from selenium import webdriver  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import Select, WebDriverWait  # noqa: E402

from segheads.web import app, uploads  # noqa: E402

CHROMIUM = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'chrome'))), None)
CHROMEDRIVER = shutil.which('chromedriver')
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and CHROMEDRIVER), reason='needs chromium and chromedriver'
)
ARGUMENTS = [
    '--headless=new',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-dev-shm-usage',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-default-apps',
    '--disable-sync',
    '--no-first-run',
]
PATIENCE = 60


class Page:
    """What a user sees and does."""

    def __init__(self, browser, address):
        self.browser = browser
        browser.get(address)
        self.wait(lambda: len(self.samples) == len(app.SAMPLES))

    def wait(self, condition):
        WebDriverWait(self.browser, PATIENCE).until(lambda _: condition())

    def find(self, name):
        return self.browser.find_element(By.ID, name)

    @property
    def samples(self):
        return self.browser.find_elements(By.CSS_SELECTOR, '#samples button')

    @property
    def classes(self):
        return self.browser.find_elements(By.CSS_SELECTOR, '#classes tbody button')

    @property
    def titles(self):
        return [cell.text for cell in self.browser.find_elements(By.CSS_SELECTOR, 'thead th')]

    @property
    def status(self):
        return self.find('status').text

    def choose_sample(self, number):
        self.samples[number].click()
        self.wait(lambda: self.status)

    def upload(self, path):
        self.find('file').send_keys(str(path))

    def select(self, name, text):
        Select(self.find(name)).select_by_visible_text(text)
        self.wait(lambda: not self.find('working').is_displayed())

    def pixel(self, name, x, y):
        """Colour and opacity of a pixel of an overlay."""
        return self.browser.execute_script(
            "const context = document.getElementById(arguments[0]).getContext('2d');"
            'return [...context.getImageData(arguments[1], arguments[2], 1, 1).data]',
            *(name, x, y),
        )


@pytest.fixture(scope='module')
def address(served):
    """The server on a port of its own, with a limit that a test can exceed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app, 'MAX_BYTES', 2**20)
        server = uvicorn.Server(
            uvicorn.Config(app.create_app(served), port=0, log_level='error', lifespan='off')
        )
        started = threading.Event()
        startup = server.startup

        async def announced_startup(*arguments, **settings):
            await startup(*arguments, **settings)
            started.set()

        server.startup = announced_startup
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        assert started.wait(PATIENCE)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f'http://127.0.0.1:{port}/'
        server.should_exit = True
        thread.join(PATIENCE)


@pytest.fixture(scope='module')
def open_browser():
    """Opens browsers, and closes them in the end."""
    browsers = []

    def open_one():
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for argument in ARGUMENTS:
            options.add_argument(argument)
        options.set_capability('goog:loggingPrefs', {'browser': 'ALL'})
        browsers.append(
            webdriver.Chrome(options=options, service=webdriver.ChromeService(CHROMEDRIVER))
        )
        return browsers[-1]

    yield open_one
    for browser in browsers:
        browser.quit()


@pytest.fixture(scope='module')
def browser(open_browser):
    return open_browser()


@pytest.fixture
def page(browser, address):
    browser.execute_cdp_cmd('Emulation.clearDeviceMetricsOverride', {})
    browser.get_log('browser')
    page = Page(browser, address)
    yield page
    errors = [entry for entry in browser.get_log('browser') if entry['level'] == 'SEVERE']
    assert not [entry for entry in errors if 'responded with a status' not in entry['message']]


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / 'photo.png'
    pixels = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def test_a_sample_is_segmented(page):
    limits = page.find('limits').text
    assert 'up to 1 MB' in limits and f'{uploads.MAX_SIDE} pixels' in limits
    page.choose_sample(0)
    assert '384 × 288 pixels' in page.status and ' s ·' in page.status
    assert page.titles == ['Class', 'Area']
    assert {button.text for button in page.classes} <= {'ground', 'wall', 'sky'}
    assert page.samples[0].get_attribute('aria-pressed') == 'true'
    assert not page.find('message').is_displayed()


def test_an_upload_is_painted_with_the_colours_of_its_classes(page, photo, served):
    page.upload(photo)
    page.wait(lambda: page.status)
    assert '56 × 40 pixels' in page.status
    class_map = predict(served[0].model, photo)
    palette = served[0].model.dataset_meta['palette']
    for x, y in [(0, 0), (55, 0), (30, 20), (0, 39)]:
        assert page.pixel('overlay-a', x, y) == [*palette[class_map[y, x]], 255]

    # A class is singled out by its button.
    button = page.classes[0]
    shown = [served[0].model.dataset_meta['classes'].index(b.text) for b in page.classes]
    button.send_keys(Keys.ENTER)
    assert button.get_attribute('aria-pressed') == 'true'
    other = np.argwhere(class_map == shown[1])[0]
    assert page.pixel('overlay-a', int(other[1]), int(other[0]))[3] < 50


def test_a_picture_is_dropped(page):
    page.browser.execute_script("""
        fetch('api/samples/0').then((answer) => answer.blob()).then((blob) => {
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File([blob], 'dropped.png', { type: 'image/png' }));
          document.dispatchEvent(new DragEvent('drop', { dataTransfer }));
        });""")
    page.wait(lambda: page.status)
    assert page.find('picture').get_attribute('alt') == 'dropped.png'


def test_models_are_switched_and_compared(page):
    page.choose_sample(1)
    assert not page.find('random').is_displayed()
    page.select('model-a', 'second (random weights)')
    assert page.find('random').is_displayed()
    assert {button.text for button in page.classes} <= {'ground', 'tree', 'cow'}
    page.select('model-b', 'first')
    assert page.titles == ['Class', 'Left', 'Right']
    assert (page.find('side-a').text, page.find('side-b').text) == ('second', 'first')
    assert page.status.startswith('Left in ') and 'right in ' in page.status
    page.select('model-b', 'The picture itself')
    assert page.titles == ['Class', 'Area'] and page.find('side-b').text == 'Picture'


def test_the_sliders_obey_the_keyboard(page):
    page.choose_sample(0)
    for name, key, expected in [('wipe', Keys.END, '100'), ('opacity', Keys.HOME, '0')]:
        page.find(name).send_keys(key)
        style = page.find('stage').get_attribute('style').replace(' ', '')
        assert f'--{name}:{expected}' in style
    assert page.find('overlay-a').value_of_css_property('opacity') == '0'
    assert page.find('side-a').is_displayed() and not page.find('side-b').is_displayed()


def test_the_wipe_follows_the_pointer(page):
    page.choose_sample(0)
    stage = page.find('stage')
    aside = -stage.size['width'] // 4
    webdriver.ActionChains(page.browser).move_to_element_with_offset(stage, aside, 0).perform()
    assert page.find('pointed').text in ('ground', 'wall', 'sky')
    webdriver.ActionChains(page.browser).click().perform()
    assert 20 <= int(page.find('wipe').get_attribute('value')) <= 30


def test_everything_is_reached_by_the_tab_key(page):
    page.choose_sample(0)
    page.browser.execute_script('document.body.tabIndex = -1; document.body.focus()')
    reached = set()
    for _ in range(30):
        webdriver.ActionChains(page.browser).send_keys(Keys.TAB).perform()
        focused = page.browser.switch_to.active_element
        named = focused.find_element(By.XPATH, 'ancestor-or-self::*[@id or self::html][1]')
        reached.add(named.get_attribute('id'))
    assert {'file', 'wipe', 'opacity', 'samples', 'model-a', 'model-b', 'classes'} <= reached


def test_a_bad_file_is_told_and_the_picture_stays(page, tmp_path):
    page.choose_sample(0)
    status = page.status
    bad = tmp_path / 'bad.png'
    bad.write_text('no picture')
    page.upload(bad)
    page.wait(lambda: page.find('message').is_displayed())
    assert 'bad.png cannot be shown' in page.find('message').text
    (tmp_path / 'notes.txt').write_text('no picture')
    page.upload(tmp_path / 'notes.txt')
    page.wait(lambda: 'notes.txt is not a picture' in page.find('message').text)
    assert page.status == status and page.find('picture').get_attribute('alt') == 'Scene 1'


def test_what_only_the_server_refuses_is_told_too(page, tmp_path):
    Image.new('RGB', (40, 9)).save(tmp_path / 'flat.png')
    page.upload(tmp_path / 'flat.png')
    page.wait(lambda: page.find('message').is_displayed())
    assert 'too small' in page.find('message').text
    page.choose_sample(0)
    assert not page.find('message').is_displayed()


def test_a_file_that_is_too_large(page, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (700, 700, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / 'large.png')
    page.upload(tmp_path / 'large.png')
    page.wait(lambda: page.find('message').is_displayed())
    assert 'large.png is larger than 1 MB' in page.find('message').text


def test_a_phone(page):
    page.browser.execute_cdp_cmd(
        'Emulation.setDeviceMetricsOverride',
        dict(width=360, height=740, deviceScaleFactor=2, mobile=True),
    )
    page.choose_sample(0)
    width = page.browser.execute_script('return document.documentElement.scrollWidth')
    assert width == 360
    assert page.find('stage').size['width'] > 300
    for name in ('wipe', 'opacity', 'model-a', 'model-b'):
        assert page.find(name).size['height'] >= 28


def test_two_users_at_once(page, open_browser, address):
    other = Page(open_browser(), address)
    other.browser.find_element(By.ID, 'model-a').send_keys('second')
    page.samples[2].click()
    other.samples[3].click()
    for user in (page, other):
        user.wait(lambda user=user: user.status)
    assert (page.find('side-a').text, other.find('side-a').text) == ('first', 'second')
    assert page.find('picture').get_attribute('alt') == 'Scene 3'
    assert other.find('picture').get_attribute('alt') == 'Scene 4'
