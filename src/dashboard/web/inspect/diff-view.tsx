import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import { seenText } from "../../../api/dashboard/index.ts";
import { diffHunks, lineDiff } from "./line-diff.ts";

const signs = { same: " ", gone: "−", new: "+" } as const;
const words = { same: "", gone: "removed: ", new: "added: " } as const;

export function DiffView({
  before,
  after,
  label,
}: {
  readonly before: string;
  readonly after: string;
  readonly label: string;
}): JSX.Element {
  const hunks = useMemo(() => diffHunks(lineDiff(before, after)), [before, after]);
  if (hunks.length === 0) return <p class="muted">Nothing changes.</p>;
  return (
    <div class="diff" tabIndex={0} role="region" aria-label={label}>
      {hunks.map((hunk, index) => (
        <div key={index} class="diff-hunk">
          {hunk.skipped === 0 ? undefined : (
            <div class="diff-skipped">
              {hunk.skipped === 1 ? "1 unchanged line" : `${hunk.skipped} unchanged lines`}
            </div>
          )}
          {hunk.lines.map((line, at) => (
            <div key={at} class="diff-line" data-kind={line.kind}>
              <span class="diff-number" aria-hidden="true">
                {line.before ?? ""}
              </span>
              <span class="diff-number" aria-hidden="true">
                {line.after ?? ""}
              </span>
              <span class="diff-sign" aria-hidden="true">
                {signs[line.kind]}
              </span>
              <span class="visually-hidden">{words[line.kind]}</span>
              <code>{line.text === "" ? " " : seenText(line.text)}</code>
            </div>
          ))}
        </div>
      ))}
    </div>
  );
}
