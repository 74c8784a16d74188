import type { JSX } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import {
  proxySections,
  type GraphNode,
  type LadderProxy,
  type PodRow,
  type Problem,
  type ProxyAnswer,
  type ProxySection,
} from "../../../api/dashboard/index.ts";
import {
  DataTable,
  Dialog,
  Empty,
  Loading,
  Notice,
  ProblemBlock,
  ProxyMark,
  Tabs,
  YamlBlock,
  type Column,
} from "../components/index.ts";
import { place, setQuery } from "../router.ts";
import { problemOf, request } from "../requests.ts";

const ofZtunnel: ReadonlySet<ProxySection> = new Set(["workloads", "services", "policies"]);
const titles: Readonly<Record<ProxySection, string>> = {
  clusters: "Clusters",
  listeners: "Listeners",
  routes: "Routes",
  endpoints: "Endpoints",
  secrets: "Certificates",
  bootstrap: "Bootstrap",
  workloads: "Workloads",
  services: "Services",
  policies: "Policies",
};

export interface ProxyPanelProps {
  readonly namespace: string;
  readonly dataPlane: GraphNode["dataPlane"];
  readonly pods: Readonly<Record<string, PodRow>>;
  readonly proxies: Readonly<Record<string, LadderProxy>>;
}

/** Shows the configuration that a pod's proxy reports. In ambient mode, it is the ztunnel of the pod's node. */
export function ProxyPanel({ namespace, dataPlane, pods, proxies }: ProxyPanelProps): JSX.Element {
  const { query } = place.value;
  const own = Object.values(proxies);
  const names =
    own.length > 0
      ? own.map(({ pod, namespace: inNamespace }) => ({ pod, namespace: inNamespace }))
      : dataPlane === "ambient"
        ? ztunnelsOf(Object.values(pods))
        : dataPlane === "none"
          ? []
          : Object.values(pods).map(({ name }) => ({ pod: name, namespace }));
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
          title: titles[name],
          content: () => (
            <Section key={`${chosen.pod} ${name}`} namespace={chosen.namespace} pod={chosen.pod} section={name} />
          ),
        }))}
      />
    </>
  );
}

/**
 * Reads the pods from texts such as `istio-system/ztunnel-x7k2p` or `istio-system/ztunnel-x7k2p, not ready`. Skips
 * texts that explain why there is no ztunnel.
 */
function ztunnelsOf(pods: readonly PodRow[]): readonly { readonly pod: string; readonly namespace: string }[] {
  const named = pods
    .map(({ ztunnel }) => /^([a-z0-9.-]+)\/([a-z0-9.-]+)(,|$)/.exec(ztunnel))
    .filter((found) => found !== null);
  return [...new Map(named.map(([, namespace = "", pod = ""]) => [pod, { pod, namespace }])).values()];
}

interface SectionRow {
  readonly cells: readonly string[];
  readonly details: string;
}

function Section({
  namespace,
  pod,
  section,
}: {
  readonly namespace: string;
  readonly pod: string;
  readonly section: ProxySection;
}): JSX.Element {
  const [answer, setAnswer] = useState<ProxyAnswer | undefined>(undefined);
  const [problem, setProblem] = useState<Problem | undefined>(undefined);
  const [opened, setOpened] = useState<SectionRow | undefined>(undefined);
  const [asked, setAsked] = useState(0);
  useEffect(() => {
    const abort = new AbortController();
    const load = async (): Promise<void> => {
      try {
        setAnswer(await request("GET /api/proxy", { namespace, pod, section }, abort.signal));
        setProblem(undefined);
      } catch (error) {
        if (!abort.signal.aborted) setProblem(problemOf(error));
      }
    };
    void load();
    return () => abort.abort();
  }, [namespace, pod, section, asked]);
  const rows = useMemo(
    () =>
      Object.fromEntries(
        (answer?.rows ?? []).map((cells, index) => [String(index), { cells, details: answer?.details[index] ?? "" }]),
      ),
    [answer],
  );
  const columns = useMemo(() => columnsOf(answer?.columns ?? [], setOpened), [answer]);
  const again = (
    <button type="button" class="button" onClick={() => setAsked(asked + 1)}>
      Refresh
    </button>
  );
  if (answer === undefined) {
    return (
      <div class="card">
        {problem === undefined ? <Loading lines={8} /> : <ProblemBlock problem={problem} again={false} />}
        {problem === undefined ? undefined : <p class="card-body row">{again}</p>}
      </div>
    );
  }
  return (
    <>
      {answer.truncated ? (
        <Notice tone="info">
          The table is cut, because it is too long for a page. All of it: serin proxy-config {section} {pod} -n{" "}
          {namespace}
        </Notice>
      ) : undefined}
      <DataTable
        label={titles[section]}
        title={titles[section]}
        id="x"
        noun={["entry", "entries"]}
        rows={rows}
        columns={columns}
        order="0"
        text={({ cells }) => cells.join(" ")}
        tools={again}
        empty={<Empty title="No resources">The proxy has no resources of this type.</Empty>}
      />
      {opened === undefined ? undefined : (
        <Dialog title={opened.cells[0] ?? titles[section]} size="wide" onClose={() => setOpened(undefined)}>
          <YamlBlock yaml={opened.details} label="The whole resource" />
        </Dialog>
      )}
    </>
  );
}

const firstColumns = 3;

function columnsOf(
  titlesOfColumns: readonly string[],
  onOpen: (row: SectionRow) => void,
): readonly Column<SectionRow>[] {
  return titlesOfColumns.map((title, index) => ({
    key: String(index),
    title: title.charAt(0) + title.slice(1).toLowerCase(),
    ...(index === 0 ? { width: "44%" } : {}),
    priority: index < 2 ? 1 : index < firstColumns ? 2 : 3,
    cell: (row) =>
      index === 0 ? (
        <button type="button" class="link-button ellipsis" title={row.cells[0]} onClick={() => onOpen(row)}>
          {row.cells[0]}
        </button>
      ) : (
        <span title={row.cells[index]}>{row.cells[index]}</span>
      ),
    sort: ({ cells }) => cells[index] ?? "",
  }));
}
