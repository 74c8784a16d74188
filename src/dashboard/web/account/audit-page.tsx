import type { JSX } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import type { AuditRecord, Problem } from "../../../api/dashboard/index.ts";
import {
  DataTable,
  Empty,
  Loading,
  Mark,
  Moment,
  Page,
  ProblemBlock,
  ProblemNotice,
  type Column,
  type Tone,
} from "../components/index.ts";
import { problemOf, request } from "../requests.ts";

const refreshMs = 5_000;
const tones: Readonly<Record<AuditRecord["result"], Tone>> = { done: "good", refused: "warn", failed: "bad" };

export function AuditPage(): JSX.Element {
  const [records, setRecords] = useState<readonly AuditRecord[] | undefined>(undefined);
  const [problem, setProblem] = useState<Problem | undefined>(undefined);
  useEffect(() => {
    const stop = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const load = async (): Promise<void> => {
      try {
        const answer = await request("GET /api/audit", {}, stop.signal);
        setRecords((before) => (JSON.stringify(before) === JSON.stringify(answer.records) ? before : answer.records));
        setProblem(undefined);
      } catch (error) {
        if (stop.signal.aborted) return;
        setProblem(problemOf(error));
      }
      timer = setTimeout(() => void load(), refreshMs);
    };
    void load();
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, []);
  const rows = useMemo(
    () => Object.fromEntries((records ?? []).map((record, index) => [`${record.atMs}-${index}`, record])),
    [records],
  );
  return (
    <Page
      title="Audit"
      subtitle="Every action and every login through this page since its server started, allowed or refused"
    >
      {problem !== undefined && records !== undefined ? <ProblemNotice problem={problem} /> : undefined}
      {records !== undefined ? (
        <DataTable
          label="Audit"
          noun={["record", "records"]}
          rows={rows}
          columns={columns}
          order="-time"
          text={({ user, what, result, detail }) => `${user} ${what} ${result} ${detail}`}
          wrap
          empty={
            <Empty title="There are no records yet">
              Reading is not recorded; orders, applied objects and logins are.
            </Empty>
          }
        />
      ) : (
        <div class="card">{problem === undefined ? <Loading /> : <ProblemBlock problem={problem} />}</div>
      )}
    </Page>
  );
}

const columns: readonly Column<AuditRecord>[] = [
  { key: "what", title: "What", sort: ({ what }) => what, cell: ({ what }) => <strong>{what}</strong> },
  {
    key: "result",
    title: "Result",
    width: "7rem",
    sort: ({ result }) => result,
    cell: ({ result }) => <Mark tone={tones[result]}>{result}</Mark>,
  },
  { key: "user", title: "User", width: "14rem", sort: ({ user }) => user, cell: ({ user }) => user },
  { key: "time", title: "Time", width: "11rem", sort: ({ atMs }) => atMs, cell: ({ atMs }) => <Moment atMs={atMs} /> },
  { key: "detail", title: "Detail", priority: 2, cell: ({ detail }) => detail },
];
