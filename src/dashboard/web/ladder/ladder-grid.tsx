import type { JSX } from "preact";
import type { LadderRevision, LadderRung } from "../../../api/dashboard/index.ts";
import { Icon, Mark, Tag } from "../components/index.ts";
import { countOf, formatShare } from "../format.ts";
import { linkTo } from "../router.ts";
import { groupRungs, ladderColumns, rungSentence, rungState } from "./rung-state.ts";

const groupTitles: Readonly<Record<LadderRung["kind"], string>> = {
  "control plane": "Control planes",
  cni: "CNI agents",
  ztunnel: "Ztunnels",
  gateway: "Gateways",
  waypoint: "Waypoints",
  namespace: "Namespaces",
};

/**
 * A grid of components (rows) and revisions (columns). A bar shows how much of a component is on a revision, and an
 * arrow shows where it moves.
 */
export function LadderGrid({
  revisions,
  rungs,
}: {
  readonly revisions: Readonly<Record<string, LadderRevision>>;
  readonly rungs: Readonly<Record<string, LadderRung>>;
}): JSX.Element {
  const columns = ladderColumns(revisions, rungs);
  const byName = new Map(Object.values(revisions).map((revision) => [revision.name, revision]));
  return (
    <div class="table-scroll">
      <div
        class="ladder"
        role="table"
        aria-label="Parts of the mesh by revision"
        style={{ "--revisions": columns.length }}
      >
        <div role="rowgroup" class="ladder-heads">
          <div role="row" class="ladder-row ladder-head">
            <div role="columnheader" class="ladder-name">
              <span class="muted small">Part</span>
            </div>
            {columns.map((name) => (
              <RevisionHead key={name} name={name} revision={byName.get(name)} />
            ))}
          </div>
        </div>
        {groupRungs(rungs).map(({ kind, rungs: group }) => (
          <div key={kind} role="rowgroup" aria-label={groupTitles[kind]}>
            <div class="ladder-group" role="row">
              <span role="rowheader">
                {groupTitles[kind]} <span class="count">{group.length}</span>
              </span>
            </div>
            {group.map(([key, rung]) => (
              <Rung key={key} rung={rung} columns={columns} />
            ))}
          </div>
        ))}
      </div>
    </div>
  );
}

function RevisionHead({
  name,
  revision,
}: {
  readonly name: string;
  readonly revision: LadderRevision | undefined;
}): JSX.Element {
  return (
    <div role="columnheader" class="ladder-revision">
      <div class="row">
        <strong>{name}</strong>
        {revision?.tags.map((tag) => (
          <Tag key={tag} tone="info" title={`The tag ${tag} points here`}>
            {tag}
          </Tag>
        ))}
      </div>
      {revision === undefined ? (
        <Mark tone="bad">no control plane</Mark>
      ) : (
        <div class="ladder-revision-facts small muted">
          <span>{revision.version}</span>
          {revision.podsReady < revision.pods || revision.pods === 0 ? (
            <Mark tone="bad">{`${revision.podsReady} of ${revision.pods} istiods ready`}</Mark>
          ) : (
            <span>{countOf(revision.pods, "istiod")}</span>
          )}
          <span>
            {revision.proxies === undefined ? "its proxies are unknown" : countOf(revision.proxies, "proxy", "proxies")}
          </span>
          {revision.root === "" ? undefined : (
            <span class="mono" title="The root certificate of its CA (first digits of the SHA-256 fingerprint)">
              <Icon name="lock" size={10} /> {revision.root.slice(0, 8)}
            </span>
          )}
        </div>
      )}
    </div>
  );
}

function Rung({ rung, columns }: { readonly rung: LadderRung; readonly columns: readonly string[] }): JSX.Element {
  const state = rungState(rung);
  const { name, namespace, kind, blockedBy, waitsFor, wanted } = rung;
  return (
    <div role="row" class="ladder-row" data-state={state}>
      <div role="rowheader" class="ladder-name">
        <RungMark rung={rung} />
        <span class="visually-hidden">{rungSentence(rung)}</span>
        <div class="ladder-title">
          {kind === "namespace" ? <a href={linkTo(["workloads"], { ns: name })}>{name}</a> : <span>{name}</span>}
          {namespace === "" || kind === "namespace" ? undefined : <span class="muted small"> {namespace}</span>}
          {state === "behind" ? (
            <div class="small warn-text">
              its label asks for {wanted}; pods that started before the change keep the old revision until you restart
              them
            </div>
          ) : undefined}
        </div>
      </div>
      {columns.map((revision) => (
        <Cell key={revision} rung={rung} revision={revision} />
      ))}
      {blockedBy.length === 0 ? undefined : (
        <div role="cell" class="ladder-blocked">
          <ul aria-label="Blocked by">
            {blockedBy.map((text) => (
              <li key={text}>{text}</li>
            ))}
          </ul>
        </div>
      )}
      {waitsFor.length === 0 ? undefined : (
        <div role="cell" class="ladder-waiting">
          {waitsFor.join("; ")}
        </div>
      )}
    </div>
  );
}

function RungMark({ rung }: { readonly rung: LadderRung }): JSX.Element {
  const state = rungState(rung);
  if (state === "blocked")
    return (
      <Mark tone="bad" quiet>
        blocked
      </Mark>
    );
  if (state === "waiting")
    return (
      <Mark tone="warn" icon="paused" quiet>
        waits for a person
      </Mark>
    );
  if (state === "moving")
    return (
      <Mark tone="info" icon="moving" quiet>
        moving
      </Mark>
    );
  if (state === "behind")
    return (
      <Mark tone="warn" quiet>
        behind
      </Mark>
    );
  if (state === "outside")
    return (
      <Mark tone="idle" quiet>
        not in the mesh
      </Mark>
    );
  return (
    <Mark tone="good" quiet>
      at its target
    </Mark>
  );
}

function Cell({ rung, revision }: { readonly rung: LadderRung; readonly revision: string }): JSX.Element {
  const share = rung.at[revision] ?? 0;
  const pods = rung.pods[revision];
  const target = rung.goingTo === revision;
  return (
    <div role="cell" class="ladder-cell" data-target={target}>
      <div class="ladder-track" data-here={share > 0} data-target={target}>
        {share > 0 ? <i style={{ width: `${Math.max(4, share * 100)}%` }} data-whole={share === 1} /> : undefined}
        <span class="ladder-figure">
          {target ? <Icon name="arrow" size={12} /> : undefined}
          {share > 0 ? wholeShare(share) : target ? "moves here" : ""}
        </span>
        <span class="ladder-pods">{share > 0 && pods !== undefined ? countOf(pods, "pod") : ""}</span>
      </div>
    </div>
  );
}

/** A whole percentage has no decimals, because it does not change. */
function wholeShare(share: number): string {
  return Number.isInteger(share * 100) ? `${share * 100} %` : formatShare(share);
}
