import type { JSX } from "preact";
import type { GraphEdge, GraphRoute } from "../../../api/dashboard/index.ts";
import { HealthMark, Icon, Tag } from "../components/index.ts";
import { formatBytes, formatMs, formatRate, formatShare } from "../format.ts";
import { linkTo } from "../router.ts";
import { isTcp, type DisplayEdge, type DisplayNode } from "./display-graph.ts";
import { fullShare } from "./edge-label.ts";
import { GraphFact } from "./graph-fact.tsx";
import { fullName } from "./graph-words.ts";
import { sharesOfAnswers } from "./shares-of-answers.ts";

export interface EdgeDetailsProps {
  readonly display: DisplayEdge;
  readonly routes: Readonly<Record<string, GraphRoute>>;
  readonly onSelect: (key: string) => void;
}

export function EdgeDetails({ display, routes, onSelect }: EdgeDetailsProps): JSX.Element {
  const { edge, to } = display;
  const route = edge.route === "" ? undefined : routes[edge.route];
  return (
    <>
      <EdgeHead display={display} onSelect={onSelect} />
      <EdgeFigures edge={edge} />
      {route === undefined ? undefined : <RouteSplit route={route} to={to} />}
      <Answers responses={edge.responses} />
    </>
  );
}

function EdgeHead({
  display: { edge, from, to },
  onSelect,
}: Pick<EdgeDetailsProps, "display" | "onSelect">): JSX.Element {
  return (
    <header class="stack graph-panel-head">
      <h2 class="graph-way">
        <button type="button" class="graph-end" onClick={() => onSelect(from.key)}>
          {fullName(from)}
        </button>
        <Icon name="arrow" size={14} />
        <span class="visually-hidden">to</span>
        <button type="button" class="graph-end" onClick={() => onSelect(to.key)}>
          {fullName(to)}
        </button>
      </h2>
      <div class="row">
        <Tag>{edge.protocol}</Tag>
        <MutualTls share={edge.mutualTlsShare} />
        <HealthMark health={edge.health} />
      </div>
      {edge.service === "" ? undefined : (
        <p>
          By{" "}
          {edge.service.includes("/") ? (
            <a href={linkTo(["services", ...edge.service.split("/")])}>the service {edge.service}</a>
          ) : (
            <span>{edge.service}</span>
          )}
        </p>
      )}
    </header>
  );
}

function EdgeFigures({ edge }: { readonly edge: GraphEdge }): JSX.Element {
  return (
    <dl class="facts graph-facts">
      {isTcp(edge) ? (
        <>
          <GraphFact title="Opened">{formatRate(edge.openedRate)}</GraphFact>
          <GraphFact title="Bytes">{`${formatBytes(edge.byteRate)}/s`}</GraphFact>
        </>
      ) : (
        <>
          <GraphFact title="Requests">{formatRate(edge.requestRate)}</GraphFact>
          <GraphFact title="Errors">{edge.requestRate > 0 ? formatShare(edge.errorShare) : "–"}</GraphFact>
          <GraphFact title="4xx">{edge.requestRate > 0 ? formatShare(edge.clientErrorShare) : "–"}</GraphFact>
          <GraphFact title="p50">{formatMs(edge.p50Ms)}</GraphFact>
          <GraphFact title="p95">{formatMs(edge.p95Ms)}</GraphFact>
          <GraphFact title="p99">{formatMs(edge.p99Ms)}</GraphFact>
          {edge.byteRate > 0 ? <GraphFact title="Bytes">{`${formatBytes(edge.byteRate)}/s`}</GraphFact> : undefined}
        </>
      )}
    </dl>
  );
}

function Answers({ responses }: Pick<GraphEdge, "responses">): JSX.Element | null {
  const shares = sharesOfAnswers(responses);
  if (shares.length === 0) return null;
  return (
    <section class="stack">
      <h3>Answers</h3>
      <ul class="graph-bars">
        {shares.map(({ code, rate, share, tone }) => (
          <li key={code} data-tone={tone}>
            <span class="nowrap">{code}</span>
            <Bar share={share} />
            <span class="number nowrap">{formatRate(rate)}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}

function MutualTls({ share }: { readonly share: number | undefined }): JSX.Element {
  if (share === undefined)
    return <Tag title="No proxy at the destination has reported mTLS for this traffic">mTLS not known</Tag>;
  if (share >= fullShare) return <Tag tone="good">mTLS</Tag>;
  return <Tag tone="warn">{share === 0 ? "plain text" : `${formatShare(share)} mTLS`}</Tag>;
}

/** Shows a rule's configured weights above the measured shares. */
function RouteSplit({ route, to }: { readonly route: GraphRoute; readonly to: DisplayNode }): JSX.Element {
  const [kind = "", name = ""] = route.object.split(" ");
  const total = route.destinations.reduce((sum, { weight }) => sum + weight, 0) || 100;
  return (
    <section class="stack">
      <h3>Weights</h3>
      <p class="small muted">
        {kind} {name}
        {route.match === "" ? "" : `, for ${route.match}`}
      </p>
      <table class="graph-weights">
        <thead>
          <tr>
            <th scope="col">To</th>
            <th scope="col" class="number">
              configured
            </th>
            <th scope="col" class="number">
              measured
            </th>
          </tr>
        </thead>
        <tbody>
          {route.destinations.map((destination) => (
            <tr
              key={destination.name}
              data-here={destination.name === to.node.version || destination.name === to.node.name}
            >
              <th scope="row">{destination.name}</th>
              <td class="number">{formatShare(destination.weight / total)}</td>
              <td class="number">{destination.share === undefined ? "–" : formatShare(destination.share)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function Bar({ share }: { readonly share: number }): JSX.Element {
  return (
    <span class="graph-bar" aria-hidden="true">
      <i style={{ width: `${Math.max(1, share * 100)}%` }} />
    </span>
  );
}
