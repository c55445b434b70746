"""How `report.html` looks: one column on a narrow screen, several on a wide one, and on paper."""

STYLE = """
:root { --ink: #1b2733; --quiet: #5b6b7a; --line: #dde3e9; --paper: #ffffff; --ground: #f4f6f8; --blue: #0072B2; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.5 system-ui, "Segoe UI", sans-serif; }
main { max-width: 72rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
header h1 { font-size: 1.9rem; line-height: 1.2; margin: 0; overflow-wrap: anywhere; }
header p { margin: 0.2rem 0 1rem; color: var(--quiet); overflow-wrap: anywhere; }
.kicker { font-size: 0.8rem; letter-spacing: 0.08em; text-transform: uppercase; }
section, dl { background: var(--paper); border: 1px solid var(--line); border-radius: 8px; padding: 1rem 1.2rem; }
section { margin-top: 1.2rem; }
section dl { border: 0; padding: 0; }
h2 { font-size: 1.2rem; margin: 0 0 0.6rem; }
h3 { font-size: 1rem; margin: 1rem 0 0.3rem; }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(16rem, 100%), 1fr)); gap: 0.7rem 1.5rem;
  margin: 0; }
dt { font-size: 0.8rem; color: var(--quiet); }
dd { margin: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
.badge { display: inline-block; font-size: 0.75rem; font-weight: 600; padding: 0.1rem 0.55rem; border-radius: 1rem;
  vertical-align: middle; white-space: nowrap; }
.good { background: #d9f0e4; color: #00573d; }
.bad { background: #fde3d3; color: #8a3a00; }
.warnings { border-left: 5px solid #D55E00; }
ul { margin: 0; padding-left: 1.2rem; }
li { margin: 0.25rem 0; overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 0.4rem 1rem 0.4rem 0; border-bottom: 1px solid var(--line); white-space: nowrap;
  vertical-align: top; }
th { font-size: 0.8rem; font-weight: 600; color: var(--quiet); }
td small { color: var(--quiet); white-space: normal; }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(21rem, 100%), 1fr)); gap: 1rem; }
figure { margin: 0; }
figure img { display: block; width: 100%; height: auto; }
pre { overflow-x: auto; background: var(--ground); padding: 0.8rem; border-radius: 6px; font-size: 0.85rem; }
summary { cursor: pointer; margin-top: 0.8rem; color: var(--blue); }
@media print { body { background: none; } section, dl { break-inside: avoid; border: 0; padding: 0.5rem 0; } }
"""
