import type { JSX } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import type { Problem, ProxyAnswer, ProxySection } from "../../../api/dashboard/index.ts";
import {
  DataTable,
  Dialog,
  Empty,
  Loading,
  Notice,
  ProblemBlock,
  YamlBlock,
  type Column,
} from "../components/index.ts";
import { problemOf, request } from "../requests.ts";

export const sectionTitles: Readonly<Record<ProxySection, string>> = {
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

interface SectionRow {
  readonly cells: readonly string[];
  readonly details: string;
}

export interface ProxySectionProps {
  readonly namespace: string;
  readonly pod: string;
  readonly section: ProxySection;
}

export function ProxySectionTable(props: ProxySectionProps): JSX.Element {
  const { namespace, pod, section } = props;
  const { answer, problem, askAgain } = useProxySection(props);
  const [opened, setOpened] = useState<SectionRow | undefined>(undefined);
  const rows = useMemo(
    () =>
      Object.fromEntries(
        (answer?.rows ?? []).map((cells, index) => [String(index), { cells, details: answer?.details[index] ?? "" }]),
      ),
    [answer],
  );
  const columns = useMemo(() => columnsOf(answer?.columns ?? [], setOpened), [answer]);
  const again = (
    <button type="button" class="button" onClick={askAgain}>
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
        label={sectionTitles[section]}
        title={sectionTitles[section]}
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
        <Dialog title={opened.cells[0] ?? sectionTitles[section]} size="wide" onClose={() => setOpened(undefined)}>
          <YamlBlock yaml={opened.details} label="The whole resource" />
        </Dialog>
      )}
    </>
  );
}

function useProxySection({ namespace, pod, section }: ProxySectionProps): {
  readonly answer: ProxyAnswer | undefined;
  readonly problem: Problem | undefined;
  readonly askAgain: () => void;
} {
  const [answer, setAnswer] = useState<ProxyAnswer | undefined>(undefined);
  const [problem, setProblem] = useState<Problem | undefined>(undefined);
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
  return { answer, problem, askAgain: () => setAsked(asked + 1) };
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
