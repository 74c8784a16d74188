import { createHash } from "node:crypto";
import { html, type Html } from "./html.ts";

export interface PageOptions {
  readonly title: string;
  readonly lead: string;
  readonly links: readonly { readonly href: string; readonly text: string }[];
  /** The page reloads itself after this time. Undefined means never. */
  readonly refreshSeconds?: number;
  readonly body: Html;
}

/** The style of all pages, which follows the reader's light or dark theme. It needs no other files. */
const style = `
:root { color-scheme: light dark; --line: light-dark(#d8dce2, #3a4048); --soft: light-dark(#f4f6f8, #1d2127); --dim: light-dark(#5b6470, #9aa4b0); --good: light-dark(#1a7f4b, #58c98b); --bad: light-dark(#b3261e, #ff8a80); --accent: light-dark(#1f5fbf, #7db2ff); }
body { font: 14px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 1280px; padding: 1.25rem 1.5rem 3rem; background: light-dark(#fff, #14171b); color: light-dark(#1c2128, #e4e8ee); }
header { display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; align-items: baseline; border-bottom: 1px solid var(--line); padding-bottom: .6rem; margin-bottom: 1rem; }
h1 { font-size: 1.35rem; margin: 0; } h2 { font-size: 1.05rem; margin: 1.6rem 0 .5rem; }
p { margin: .3rem 0; } .dim { color: var(--dim); } .good { color: var(--good); } .bad { color: var(--bad); }
a { color: var(--accent); text-decoration: none; } a:hover { text-decoration: underline; } nav a { margin-right: 1rem; }
summary { cursor: pointer; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .35rem 1rem .35rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 600; color: var(--dim); white-space: nowrap; } td.number, th.number { text-align: right; padding-right: 1.4rem; font-variant-numeric: tabular-nums; white-space: nowrap; }
tbody tr:hover { background: var(--soft); } code, pre, input, textarea { font: 13px/1.5 ui-monospace, monospace; }
td code { overflow-wrap: anywhere; } form { display: flex; flex-wrap: wrap; gap: .5rem; margin: .8rem 0; }
input[type=text] { flex: 1 1 30rem; padding: .4rem .6rem; border: 1px solid var(--line); border-radius: 6px; background: transparent; color: inherit; }
button, select { padding: .4rem .8rem; border: 1px solid var(--line); border-radius: 6px; background: var(--soft); color: inherit; font: inherit; }
pre { background: var(--soft); padding: .7rem 1rem; border-radius: 6px; overflow-x: auto; }
`;

/**
 * Allows the style of {@link page} and forms that are sent to this server. Forbids scripts, frames, other origins and
 * everything else.
 */
export const contentSecurityPolicy = [
  "default-src 'none'",
  `style-src 'sha256-${createHash("sha256").update(style).digest("base64")}'`,
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join("; ");

export function page({ title, lead, links, refreshSeconds, body }: PageOptions): string {
  const refresh =
    refreshSeconds === undefined ? undefined : html`<meta http-equiv="refresh" content="${refreshSeconds}" />`;
  const document = html`<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">${refresh}<title>${title}</title><style>`;
  const rest = html`</style></head>
<body>
<header><h1>${title}</h1><nav>${links.map(({ href, text }) => html`<a href="${href}">${text}</a>`)}</nav></header>
<p class="dim">${lead}</p>
${body}
</body>
</html>
`;
  return `${document.text}${style}${rest.text}`;
}

export interface Column<Row> {
  readonly title: string;
  readonly isNumber?: boolean;
  readonly cell: (row: Row) => Html | string | number;
}

export function table<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): Html {
  const kind = ({ isNumber }: Column<Row>): string => (isNumber === true ? "number" : "");
  const head = columns.map((column) => html`<th class="${kind(column)}">${column.title}</th>`);
  const lines = rows.map(
    (row) =>
      html`<tr>
        ${columns.map((column) => html`<td class="${kind(column)}">${column.cell(row)}</td>`)}
      </tr> `,
  );
  return html`<div class="scroll">
    <table>
      <thead>
        <tr>
          ${head}
        </tr>
      </thead>
      <tbody>
        ${lines}
      </tbody>
    </table>
  </div>`;
}
