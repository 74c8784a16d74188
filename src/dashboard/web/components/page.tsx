import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { SourceState, TopicName } from "../../../api/dashboard/index.ts";
import { formatDuration } from "../format.ts";
import { liveState, serverNowMs, type Live } from "../live/index.ts";
import { linkTo } from "../router.ts";
import { Loading, Notice, ProblemBlock, ProblemNotice } from "./states.tsx";

/** A healthy source is mentioned if its data is older than this. */
const oldSourceMs = 60_000;

export interface PageProps<Name extends TopicName> {
  readonly title: string;
  readonly subtitle?: ComponentChildren;
  /** The views above this one, with their paths. */
  readonly crumbs?: readonly { readonly title: string; readonly path: readonly string[] }[];
  readonly tools?: ComponentChildren;
  /**
   * The data of the page. If given, the content appears with the first view. Problems and the age of sources appear
   * above the content.
   */
  readonly live?: Live<Name>;
  readonly children: ComponentChildren;
}

export function Page<Name extends TopicName>({
  title,
  subtitle,
  crumbs = [],
  tools,
  live,
  children,
}: PageProps<Name>): JSX.Element {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = `${title} · Serin`;
  }, [title]);
  const head = live?.head.value;
  const problem = live?.problem.value;
  const waits = live !== undefined && head === undefined;
  return (
    <div class="page">
      <header class="page-head">
        <div>
          {crumbs.length === 0 ? undefined : (
            <nav aria-label="Above">
              <ol class="crumbs">
                {crumbs.map((crumb) => (
                  <li key={crumb.title}>
                    <a href={linkTo(crumb.path)}>{crumb.title}</a>
                  </li>
                ))}
              </ol>
            </nav>
          )}
          <h1 ref={heading} tabIndex={-1}>
            {title}
          </h1>
          {subtitle === undefined ? undefined : <div class="page-subtitle">{subtitle}</div>}
        </div>
        {tools === undefined ? undefined : <div class="page-tools">{tools}</div>}
      </header>
      {problem !== undefined && !waits ? <ProblemNotice problem={problem} /> : undefined}
      {head === undefined ? undefined : <SourceNotes sources={head.sources} madeAtMs={head.atMs} />}
      {!waits ? (
        children
      ) : problem === undefined ? (
        <div class="card">
          <Loading lines={9} />
        </div>
      ) : (
        <div class="card">
          <ProblemBlock problem={problem} />
        </div>
      )}
    </div>
  );
}

/**
 * Shows sources that fail or are old, and while the connection is lost the age of the view. The server does not send an
 * unchanged view again, so a healthy source counts as old only if it was old when the view was made. If a source failed
 * later, the server would send a view.
 */
function SourceNotes({
  sources,
  madeAtMs,
}: {
  readonly sources: readonly SourceState[];
  readonly madeAtMs: number;
}): JSX.Element | null {
  const state = liveState.value;
  const nowMs = serverNowMs.value;
  const notes = sources
    .map((source) => sourceNote(source, source.ok ? madeAtMs : nowMs))
    .filter((note) => note !== undefined);
  if (notes.length === 0 && state.kind !== "reconnecting") return null;
  return (
    <div class="stack">
      {state.kind !== "reconnecting" ? undefined : (
        <Notice tone="warn">
          Not connected: what is shown is <strong>{formatDuration(nowMs - state.sinceMs)} old</strong>. The page
          reconnects by itself.
        </Notice>
      )}
      {notes.map((note) => (
        <Notice key={note} tone="warn">
          {note}
        </Notice>
      ))}
    </div>
  );
}

function sourceNote({ name, ok, asOfMs, problem }: SourceState, nowMs: number): string | undefined {
  const ageMs = asOfMs === undefined ? undefined : nowMs - asOfMs;
  if (ok && (ageMs === undefined || ageMs < oldSourceMs)) return undefined;
  const age =
    ageMs === undefined
      ? "The source has not reported yet"
      : `The last report of this source is ${formatDuration(ageMs)} old`;
  return problem === undefined
    ? `${name}: ${age.charAt(0).toLowerCase()}${age.slice(1)}.`
    : `${name}: ${problem.replace(/\.$/, "")}. ${age}.`;
}
