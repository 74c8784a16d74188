import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import type { LadderProxy } from "../../../api/dashboard/index.ts";
import { Age, DataTable, Empty, Notice, ProxyMark, type Column } from "../components/index.ts";
import { countOf } from "../format.ts";
import { linkTo, place, setQuery } from "../router.ts";
import { rejections } from "./rung-state.ts";

const states = ["rejected", "stale", "not connected", "synced"] as const satisfies readonly LadderProxy["state"][];
const maxNamed = 6;

export function ProxyStates({ proxies }: { readonly proxies: Readonly<Record<string, LadderProxy>> }): JSX.Element {
  const only = place.value.query["state"] ?? "";
  const rows = useMemo(
    () =>
      only === "" ? proxies : Object.fromEntries(Object.entries(proxies).filter(([, { state }]) => state === only)),
    [proxies, only],
  );
  const rejected = rejections(proxies);
  const all = Object.values(proxies);
  return (
    <>
      {rejected.length === 0 ? undefined : (
        <section class="stack" aria-label="Why proxies reject their configuration">
          {rejected.map(({ reason, proxies: same }) => (
            <Notice key={reason} tone="bad">
              <strong>
                {countOf(same.length, "proxy rejects its configuration", "proxies reject their configuration")}:{" "}
              </strong>
              <span class="mono">{reason}</span>
              <div class="small">
                {same.slice(0, maxNamed).map(({ namespace, pod }) => (
                  <span key={`${namespace}/${pod}`} class="named-proxy">
                    {namespace}/{pod}
                  </span>
                ))}
                {same.length > maxNamed ? `and ${same.length - maxNamed} more` : ""}
              </div>
            </Notice>
          ))}
        </section>
      )}
      <DataTable
        id="p"
        label="Proxies"
        title="Proxies"
        noun={["proxy", "proxies"]}
        rows={rows}
        columns={columns}
        order="state"
        text={({ pod, namespace, type, revision, version, node, state, reason }) =>
          `${pod} ${namespace} ${type} ${revision} ${version} ${node} ${state} ${reason}`
        }
        tools={
          <div class="segmented" role="group" aria-label="By state">
            <button type="button" aria-pressed={only === ""} onClick={() => setQuery({ state: "" })}>
              All
            </button>
            {states.map((state) => (
              <button
                key={state}
                type="button"
                aria-pressed={only === state}
                onClick={() => setQuery({ state: only === state ? "" : state })}
              >
                {state} <span class="count">{all.filter((proxy) => proxy.state === state).length}</span>
              </button>
            ))}
          </div>
        }
        empty={
          <Empty title={only === "" ? "No proxy is known" : `No proxy is ${only}`}>
            {only === ""
              ? "A proxy appears here once it connects to a control plane. A pod that started before its namespace was labelled has no proxy: restart the pod."
              : ""}
          </Empty>
        }
      />
    </>
  );
}

const columns: readonly Column<LadderProxy>[] = [
  {
    key: "pod",
    title: "Pod",
    sort: ({ namespace, pod }) => `${namespace}/${pod}`,
    cell: ({ namespace, pod }) => (
      <>
        <a href={linkTo(["workloads"], { ns: namespace, q: pod.split("-").slice(0, -2).join("-") })} title={pod}>
          {pod}
        </a>{" "}
        <span class="muted">{namespace}</span>
      </>
    ),
  },
  {
    key: "state",
    title: "State",
    width: "9rem",
    sort: ({ state }) => states.indexOf(state),
    cell: ({ state, reason }) => <ProxyMark state={state} reason={reason} />,
  },
  {
    key: "reason",
    title: "Reason",
    priority: 2,
    sort: ({ reason }) => reason || undefined,
    cell: ({ reason }) => <span title={reason}>{reason}</span>,
  },
  { key: "type", title: "Type", width: "6rem", priority: 3, sort: ({ type }) => type, cell: ({ type }) => type },
  {
    key: "revision",
    title: "Revision",
    width: "7rem",
    sort: ({ revision }) => revision,
    cell: ({ revision }) => revision || "–",
  },
  {
    key: "version",
    title: "Version",
    width: "6rem",
    priority: 3,
    sort: ({ version }) => version,
    cell: ({ version }) => version || "–",
  },
  { key: "node", title: "Node", width: "8rem", priority: 3, sort: ({ node }) => node, cell: ({ node }) => node },
  {
    key: "connected",
    title: "Connected",
    width: "7.5rem",
    number: true,
    priority: 3,
    sort: ({ connectedAtMs }) => connectedAtMs,
    cell: ({ connectedAtMs }) => <Age atMs={connectedAtMs} ago={false} />,
  },
];
