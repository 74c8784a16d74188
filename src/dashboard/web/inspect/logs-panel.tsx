import type { JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { PodRow, Problem } from "../../../api/dashboard/index.ts";
import { Empty, Loading, ProblemBlock, ProblemNotice, SearchField } from "../components/index.ts";
import { countOf } from "../format.ts";
import { place, setQuery } from "../router.ts";
import { problemOf, request } from "../requests.ts";
import { followLog, levelOf, splitFinds, splitLog, type LogLines } from "./log-lines.ts";

const followMs = 2_000;
const tails = [200, 1000, 5000] as const;
/** The number of lines that are rendered together. A full chunk is never rendered again. */
const chunkLines = 100;
const maxFinds = 1000;

/** Shows the log of a container, with search, wrapping and following. The link names the container. */
export function LogsPanel({
  namespace,
  pods,
}: {
  readonly namespace: string;
  readonly pods: Readonly<Record<string, PodRow>>;
}): JSX.Element {
  const { query } = place.value;
  const names = Object.values(pods);
  const pod = names.find(({ name }) => name === query["pod"]) ?? names[0];
  if (pod === undefined)
    return (
      <div class="card">
        <Empty title="No pods">The workload has no pods now.</Empty>
      </div>
    );
  const container = pod.containers.find((name) => name === query["container"]) ?? pod.containers[0] ?? "";
  return (
    <PodLog
      key={`${pod.name} ${container} ${query["previous"] ?? ""}`}
      namespace={namespace}
      pods={names}
      pod={pod}
      container={container}
      previous={query["previous"] === "yes"}
    />
  );
}

function PodLog({
  namespace,
  pods,
  pod,
  container,
  previous,
}: {
  readonly namespace: string;
  readonly pods: readonly PodRow[];
  readonly pod: PodRow;
  readonly container: string;
  readonly previous: boolean;
}): JSX.Element {
  const { query } = place.value;
  const search = query["find"] ?? "";
  const tailLines = tails.find((count) => String(count) === query["tail"]) ?? tails[0];
  const [follows, setFollows] = useState(!previous);
  const [wraps, setWraps] = useState(true);
  const { log, truncated, problem } = useLog({ namespace, pod: pod.name, container, previous, tailLines, follows });
  return (
    <section class="card" aria-label="Log">
      <div class="card-head">
        <select
          class="select log-select"
          aria-label="Pod"
          value={pod.name}
          onChange={(event) => setQuery({ pod: event.currentTarget.value, container: "" })}
        >
          {pods.map(({ name, state }) => (
            <option key={name} value={name}>
              {state === "Running" ? name : `${name} (${state})`}
            </option>
          ))}
        </select>
        <select
          class="select log-select"
          aria-label="Container"
          value={container}
          onChange={(event) => setQuery({ container: event.currentTarget.value })}
        >
          {pod.containers.map((name) => (
            <option key={name} value={name}>
              {name}
            </option>
          ))}
        </select>
        <select
          class="select log-tail"
          aria-label="Lines"
          value={String(tailLines)}
          onChange={(event) => setQuery({ tail: event.currentTarget.value })}
        >
          {tails.map((count) => (
            <option key={count} value={String(count)}>{`last ${count.toLocaleString("en-US")} lines`}</option>
          ))}
        </select>
        <div class="card-tools">
          <button type="button" class="button" aria-pressed={follows} onClick={() => setFollows(!follows)}>
            Follow
          </button>
          <button type="button" class="button" aria-pressed={wraps} onClick={() => setWraps(!wraps)}>
            Wrap
          </button>
          <button
            type="button"
            class="button"
            aria-pressed={previous}
            title="The log of the previous container, from before the last restart"
            onClick={() => setQuery({ previous: previous ? "" : "yes" })}
          >
            Previous
          </button>
          <SearchField label="Find in the log" value={search} onChange={(find) => setQuery({ find })} />
        </div>
      </div>
      {problem !== undefined && log !== undefined ? <ProblemNotice problem={problem} /> : undefined}
      {log === undefined ? (
        problem === undefined ? (
          <Loading lines={8} />
        ) : (
          <ProblemBlock problem={problem} again={follows} />
        )
      ) : (
        <LogText log={log} search={search} wraps={wraps} truncated={truncated} />
      )}
    </section>
  );
}

function LogText({
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
      <p class="log-note small muted" role="status">
        {found !== undefined
          ? `${countOf(found.length, "line")} of ${log.lines.length.toLocaleString("en-US")} with “${search}”${found.length > maxFinds ? `, the last ${maxFinds.toLocaleString("en-US")} are shown` : ""}`
          : `${countOf(log.lines.length, "line")}${truncated ? "; what was before is left out" : ""}`}
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

interface LogOptions {
  readonly namespace: string;
  readonly pod: string;
  readonly container: string;
  readonly previous: boolean;
  readonly tailLines: number;
  readonly follows: boolean;
}

function useLog({ namespace, pod, container, previous, tailLines, follows }: LogOptions): {
  readonly log: LogLines | undefined;
  readonly truncated: boolean;
  readonly problem: Problem | undefined;
} {
  const [state, setState] = useState<{ readonly log: LogLines | undefined; readonly truncated: boolean }>({
    log: undefined,
    truncated: false,
  });
  const [problem, setProblem] = useState<Problem | undefined>(undefined);
  useEffect(() => {
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const load = async (): Promise<void> => {
      if (!document.hidden) {
        try {
          const answer = await request(
            "GET /api/logs",
            { namespace, pod, container, previous, tailLines },
            abort.signal,
          );
          setState((before) => ({ log: followLog(before.log, splitLog(answer.text)), truncated: answer.truncated }));
          setProblem(undefined);
        } catch (error) {
          if (abort.signal.aborted) return;
          setProblem(problemOf(error));
        }
      }
      if (follows && !abort.signal.aborted) timer = setTimeout(() => void load(), followMs);
    };
    void load();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [namespace, pod, container, previous, tailLines, follows]);
  return { ...state, problem };
}
