import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { PodRow } from "../../../api/dashboard/index.ts";
import { Empty, Loading, ProblemBlock, ProblemNotice, SearchField } from "../components/index.ts";
import { place, setQuery } from "../router.ts";
import { LogText } from "./log-text.tsx";
import { useLog } from "./use-log.ts";

const tails = [200, 1000, 5000] as const;

/** The log of a container. The link names the container. */
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

interface LogChoice {
  readonly pod: PodRow;
  readonly container: string;
  /** Whether to show the log of the container before its last restart. */
  readonly previous: boolean;
  readonly tailLines: number;
}

function PodLog({
  namespace,
  pods,
  pod,
  container,
  previous,
}: Omit<LogChoice, "tailLines"> & {
  readonly namespace: string;
  readonly pods: readonly PodRow[];
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
        <LogChoices pods={pods} pod={pod} container={container} tailLines={tailLines} />
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
      {log !== undefined ? (
        <LogText log={log} search={search} wraps={wraps} truncated={truncated} />
      ) : problem !== undefined ? (
        <ProblemBlock problem={problem} again={follows} />
      ) : (
        <Loading lines={8} />
      )}
    </section>
  );
}

function LogChoices({
  pods,
  pod,
  container,
  tailLines,
}: Omit<LogChoice, "previous"> & { readonly pods: readonly PodRow[] }): JSX.Element {
  return (
    <>
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
    </>
  );
}
