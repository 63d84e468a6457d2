"""The page as a Jinja template; everything in it is escaped unless it is marked as safe."""

STYLE = """
:root {
  color-scheme: light dark;
  --page: #ffffff; --text: #1c2024; --muted: #60646c; --line: #d9d9e0; --panel: #f7f7f9;
  --better: #18794e; --worse: #c62a2f; --bar: #3b82c44d;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #111315; --text: #edeef0; --muted: #a0a4ab; --line: #363a3f; --panel: #1a1d21;
    --better: #4cc38a; --worse: #ff8589; --bar: #3b82c466;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; max-width: 75rem; padding: 1.5rem 1rem 4rem;
  background: var(--page); color: var(--text); font: 16px/1.5 system-ui, sans-serif;
}
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 .25rem; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .75rem; border-top: 1px solid var(--line);
     padding-top: 1.25rem; }
h3 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
p { margin: .5rem 0; }
.muted, figcaption { color: var(--muted); font-size: .875rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; }
th, td { padding: .3rem .75rem; text-align: left; border-bottom: 1px solid var(--line);
         vertical-align: top; }
thead th { border-bottom: 2px solid var(--line); }
tbody th { font-weight: normal; color: var(--muted); white-space: nowrap; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.bar {
  min-width: 7rem;
  background: linear-gradient(var(--bar), var(--bar)) no-repeat left / var(--share) 100%;
}
.better { color: var(--better); }
.worse { color: var(--worse); }
.plots { display: grid; gap: 1.5rem;
         grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr)); }
figure { margin: 0; }
figcaption { overflow-wrap: anywhere; }
figure svg, figure img { display: block; width: 100%; height: auto; border-radius: 4px; }
svg text { font-family: system-ui, sans-serif !important; }
.matrix { max-width: 42rem; }
.row { display: grid; gap: .75rem; margin: 0 0 1rem;
       grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1rem; margin: .5rem 0 1rem; padding: 0;
          list-style: none; font-size: .9rem; }
.swatch { display: inline-block; width: .9em; height: .9em; margin-right: .4em;
          border: 1px solid var(--line); border-radius: 3px; vertical-align: -.1em; }
pre { background: var(--panel); border: 1px solid var(--line); border-radius: 6px;
      padding: .75rem; overflow-x: auto; font-size: .8rem; line-height: 1.4; }
table.code td, table.code tbody th { font-family: ui-monospace, monospace; font-size: .8rem; }
summary { cursor: pointer; margin: .5rem 0; }
@media (max-width: 40rem) {
  th, td { padding: .3rem .4rem; }
  tbody th { white-space: normal; }
  .bar { min-width: 4rem; }
}
"""

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>{{ style | safe }}</style>
</head>
<body>
<h1>{{ title }}</h1>
<p class="muted">Made by segheads {{ version }} on {{ date }}.</p>

<h2>Overview</h2>
<div class="scroll"><table>
<thead><tr><th></th>{% for run in runs %}<th>{{ run.name }}</th>{% endfor %}</tr></thead>
<tbody>
{% for row in overview %}<tr><th scope="row">{{ row.label }}</th>
{% for value in row.cells %}<td>{{ value }}</td>{% endfor %}</tr>
{% endfor %}</tbody>
</table></div>
{% for note in notes %}<p class="muted">{{ note }}</p>
{% endfor %}
{% if curves %}<h2>Curves</h2>
<div class="plots">
{% for curve in curves %}<figure>{{ curve.svg | safe }}
<figcaption>{{ curve.caption }}</figcaption></figure>
{% endfor %}</div>
{% endif %}
{% if class_table %}<h2>Classes</h2>
<p class="muted">{{ class_table.caption }}</p>
<div class="scroll"><table>
<thead><tr><th>class</th>
{% for name in class_table.runs %}<th class="number">{{ name }}</th>
{% if not loop.first %}<th class="number">difference</th>{% endif %}
{% endfor %}</tr></thead>
<tbody>
{% for row in class_table.rows %}<tr><td>{{ row.name }}</td>
{% for cell in row.cells %}<td class="number bar" style="--share: {{ cell.share }}%">\
{{ cell.text }}</td>
{% if not loop.first %}<td class="number {{ cell.trend }}">{{ cell.difference }}</td>{% endif %}
{% endfor %}</tr>
{% endfor %}</tbody>
</table></div>
{% endif %}
{% if matrices %}<h2>Confusion</h2>
<p class="muted">How the pixels of each true class (rows) were predicted (columns), in percent.</p>
<div class="plots">
{% for matrix in matrices %}<figure class="matrix">{{ matrix.svg | safe }}
<figcaption>{{ matrix.caption }}</figcaption></figure>
{% endfor %}</div>
{% endif %}
{% if galleries %}<h2>Pictures</h2>
<ul class="legend">
{% for entry in legend %}<li><span class="swatch" style="background: {{ entry.colour }}"></span>\
{{ entry.name }}</li>
{% endfor %}</ul>
{% for gallery in galleries %}<h3>{{ gallery.title }}</h3>
{% for row in gallery.rows %}<div class="row">
{% for picture in row %}<figure><img src="{{ picture.address }}" alt="{{ picture.caption }}">
<figcaption>{{ picture.caption }}</figcaption></figure>
{% endfor %}</div>
{% endfor %}{% endfor %}{% endif %}
<h2>Versions</h2>
<div class="scroll"><table>
<thead><tr><th></th>{% for run in runs %}<th>{{ run.name }}</th>{% endfor %}</tr></thead>
<tbody>
{% for row in versions %}<tr><th scope="row">{{ row.label }}</th>
{% for value in row.cells %}<td>{{ value }}</td>{% endfor %}</tr>
{% endfor %}</tbody>
</table></div>

<h2>{{ 'Configs' if configs | length > 1 else 'Config' }}</h2>
{% if config_differences %}<p class="muted">Settings that differ; the whole configs follow.</p>
<div class="scroll"><table class="code">
<thead><tr><th>setting</th>{% for run in runs %}<th>{{ run.name }}</th>{% endfor %}</tr></thead>
<tbody>
{% for row in config_differences %}<tr><th scope="row">{{ row.label }}</th>
{% for value in row.cells %}<td>{{ value }}</td>{% endfor %}</tr>
{% endfor %}</tbody>
</table></div>
{% endif %}
{% for config in configs %}<details><summary>{{ config.name }}</summary>
<pre>{{ config.text }}</pre></details>
{% endfor %}
</body>
</html>
"""
