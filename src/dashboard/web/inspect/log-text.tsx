import type { JSX } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { Empty } from "../components/index.ts";
import { foundNote, levelOf, logNote, maxFinds, splitFinds, type LogLines } from "./log-lines.ts";

/** How many lines are rendered together. A chunk that is full is never rendered again. */
const chunkLines = 100;

/** The lines of a log, or those that a search finds. While the reader is at the end, the box stays scrolled there. */
export function LogText({
  log,
  search,
  wraps,
  truncated,
}: {
  readonly log: LogLines;
  readonly search: string;
  readonly wraps: boolean;
  readonly truncated: boolean;
}): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const atEnd = useRef(true);
  const found = useMemo(
    () => (search === "" ? undefined : log.lines.filter((line) => line.toLowerCase().includes(search.toLowerCase()))),
    [log, search],
  );
  useEffect(() => {
    const element = box.current;
    if (element !== null && atEnd.current) element.scrollTop = element.scrollHeight;
  }, [log, found, wraps]);
  if (log.lines.length === 0) return <Empty title="The log is empty">The container has written nothing yet.</Empty>;
  const onScroll = (): void => {
    const element = box.current;
    if (element !== null) atEnd.current = element.scrollHeight - element.scrollTop - element.clientHeight < 24;
  };
  return (
    <>
      {/* Screen readers announce only the result of a search. The number of all lines changes with each new one. */}
      <p class="log-note small muted" role={found === undefined ? undefined : "status"}>
        {found === undefined
          ? logNote(log.lines.length, truncated)
          : foundNote({ found: found.length, lines: log.lines.length, search })}
      </p>
      <div
        ref={box}
        class="log"
        data-wrap={wraps}
        tabIndex={0}
        role="log"
        aria-label="Lines of the log"
        aria-live="off"
        onScroll={onScroll}
      >
        {found === undefined ? (
          <Chunks log={log} />
        ) : (
          found.slice(-maxFinds).map((line, index) => <Found key={index} line={line} search={search} />)
        )}
      </div>
    </>
  );
}

function Found({ line, search }: { readonly line: string; readonly search: string }): JSX.Element {
  return (
    <div data-level={levelOf(line)}>
      {splitFinds(line, search).map((part, index) => (index % 2 === 1 ? <mark key={index}>{part}</mark> : part))}
    </div>
  );
}

/** Renders lines in chunks by their numbers, so that new lines change only the last chunk. */
function Chunks({ log: { first, lines } }: { readonly log: LogLines }): JSX.Element {
  const chunks: JSX.Element[] = [];
  const made = useRef(new Map<string, JSX.Element>());
  const next = new Map<string, JSX.Element>();
  for (let from = first - (first % chunkLines); from < first + lines.length; from += chunkLines) {
    const own = lines.slice(Math.max(0, from - first), from + chunkLines - first);
    const key = `${from} ${own.length}`;
    const chunk = made.current.get(key) ?? (
      <div key={from} class="log-chunk">
        {own.map((line, index) => (
          <div key={index} data-level={levelOf(line)}>
            {line === "" ? " " : line}
          </div>
        ))}
      </div>
    );
    next.set(key, chunk);
    chunks.push(chunk);
  }
  made.current = next;
  return <>{chunks}</>;
}
