import type { JSX } from "preact";
import {
  proxySections,
  type GraphNode,
  type LadderProxy,
  type PodRow,
  type ProxySection,
} from "../../../api/dashboard/index.ts";
import { Empty, Notice, ProxyMark, Tabs } from "../components/index.ts";
import { place, setQuery } from "../router.ts";
import { proxiesOfWorkload } from "./proxies-of-workload.ts";
import { ProxySectionTable, sectionTitles } from "./proxy-section-table.tsx";

const ofZtunnel: ReadonlySet<ProxySection> = new Set(["workloads", "services", "policies"]);

export interface ProxyPanelProps {
  readonly namespace: string;
  readonly dataPlane: GraphNode["dataPlane"];
  readonly pods: Readonly<Record<string, PodRow>>;
  readonly proxies: Readonly<Record<string, LadderProxy>>;
}

/** The configuration that a proxy of the workload reports. In ambient mode, it is a ztunnel's. */
export function ProxyPanel({ namespace, dataPlane, pods, proxies }: ProxyPanelProps): JSX.Element {
  const { query } = place.value;
  const own = Object.values(proxies);
  const names = proxiesOfWorkload({ namespace, dataPlane, pods: Object.values(pods), proxies: own });
  const chosen = names.find(({ pod }) => pod === query["proxy"]) ?? names[0];
  if (chosen === undefined) {
    return (
      <div class="card">
        <Empty title="No proxy">
          {dataPlane === "none"
            ? "The workload is not in the mesh: label its namespace with istio.io/dataplane-mode=ambient or istio-injection=enabled."
            : "No proxy of this workload is connected now."}
        </Empty>
      </div>
    );
  }
  const proxy = own.find(({ pod }) => pod === chosen.pod);
  const ztunnel = proxy === undefined ? dataPlane === "ambient" : proxy.type === "ztunnel";
  const sections = proxySections.filter((name) => ofZtunnel.has(name) === ztunnel || (ztunnel && name === "secrets"));
  const section = sections.find((name) => name === query["section"]) ?? sections[0] ?? "clusters";
  return (
    <>
      <div class="row">
        <select
          class="select log-select"
          aria-label="Proxy"
          value={chosen.pod}
          onChange={(event) => setQuery({ proxy: event.currentTarget.value })}
        >
          {names.map(({ pod }) => (
            <option key={pod} value={pod}>
              {pod}
            </option>
          ))}
        </select>
        {proxy === undefined ? undefined : <ProxyMark state={proxy.state} reason={proxy.reason} />}
        {proxy === undefined ? undefined : (
          <span class="muted">
            {proxy.type} of {proxy.revision || "default"}
            {proxy.version === "" ? "" : `, ${proxy.version}`}
          </span>
        )}
      </div>
      {proxy === undefined || proxy.reason === "" ? undefined : (
        <Notice tone={proxy.state === "rejected" ? "bad" : "warn"}>{proxy.reason}</Notice>
      )}
      <Tabs
        label="Parts of the configuration"
        chosen={section}
        onChoose={(key) => setQuery({ section: key, xq: "", xsort: "" })}
        tabs={sections.map((name) => ({
          key: name,
          title: sectionTitles[name],
          content: () => (
            <ProxySectionTable
              key={`${chosen.pod} ${name}`}
              namespace={chosen.namespace}
              pod={chosen.pod}
              section={name}
            />
          ),
        }))}
      />
    </>
  );
}
