import type { JSX } from "preact";
import { useMemo, useState } from "preact/hooks";
import type { WhatIfAnswer } from "../../../api/dashboard/index.ts";
import { DataTable, Dialog, Empty, Notice, Tag, type Column } from "../components/index.ts";
import { countOf } from "../format.ts";

interface ChangeRow {
  readonly proxy: string;
  readonly namespace: string;
  readonly type: string;
  readonly resource: string;
  readonly change: "added" | "changed" | "removed";
  readonly difference: string;
}

const tones = { added: "good", changed: "info", removed: "warn" } as const;

export function WhatIfResult({ answer }: { readonly answer: WhatIfAnswer }): JSX.Element {
  const [opened, setOpened] = useState<ChangeRow | undefined>(undefined);
  const rows = useMemo(() => {
    const all: Record<string, ChangeRow> = {};
    for (const { proxy, namespace, type, changes } of answer.proxies)
      for (const change of changes)
        all[`${namespace}/${proxy} ${change.resource}`] = { proxy, namespace, type, ...change };
    return all;
  }, [answer]);
  const columns = useMemo(() => columnsOf(setOpened), []);
  const invalid = answer.messages.some(({ level }) => level === "Error");
  return (
    <>
      {answer.incomplete === "" ? undefined : (
        <Notice tone="warn">The result is incomplete: {answer.incomplete}</Notice>
      )}
      <DataTable
        label="What would change"
        title="What would change"
        id="f"
        noun={["change", "changes"]}
        rows={rows}
        columns={columns}
        order="proxy"
        text={({ proxy, namespace, type, resource, difference }) =>
          `${proxy} ${namespace} ${type} ${resource} ${difference}`
        }
        tools={
          <span class="muted small">{`${countOf(answer.proxies.length, "proxy", "proxies")} of ${answer.compared} would receive a changed configuration; nothing was written`}</span>
        }
        empty={
          invalid ? (
            <Empty title="The objects have errors">Correct the errors first. The messages are below the editor.</Empty>
          ) : (
            <Empty
              title="No proxy would receive a changed configuration"
              icon="good"
            >{`${countOf(answer.compared, "proxy was", "proxies were")} compared.`}</Empty>
          )
        }
      />
      {opened === undefined ? undefined : (
        <Dialog title={`${opened.resource} of ${opened.proxy}`} size="wide" onClose={() => setOpened(undefined)}>
          <pre class="difference" tabIndex={0}>
            {opened.difference.split("\n").map((line, index) => (
              <div key={index} data-kind={line.startsWith("+") ? "new" : line.startsWith("-") ? "gone" : "same"}>
                {line === "" ? " " : line}
              </div>
            ))}
          </pre>
        </Dialog>
      )}
    </>
  );
}

function columnsOf(onOpen: (row: ChangeRow) => void): readonly Column<ChangeRow>[] {
  return [
    {
      key: "proxy",
      title: "Proxy",
      cell: ({ proxy, namespace }) => <span title={`${namespace}/${proxy}`}>{proxy}</span>,
      sort: ({ proxy }) => proxy,
    },
    {
      key: "namespace",
      title: "Namespace",
      width: "130px",
      priority: 3,
      cell: ({ namespace }) => namespace,
      sort: ({ namespace }) => namespace,
    },
    { key: "type", title: "Type", width: "92px", priority: 2, cell: ({ type }) => type, sort: ({ type }) => type },
    {
      key: "resource",
      title: "Resource",
      cell: ({ resource }) => <span title={resource}>{resource}</span>,
      sort: ({ resource }) => resource,
    },
    {
      key: "change",
      title: "Change",
      width: "94px",
      cell: ({ change }) => <Tag tone={tones[change]}>{change}</Tag>,
      sort: ({ change }) => change,
    },
    {
      key: "difference",
      title: "Difference",
      priority: 2,
      cell: (row) => (
        <button
          type="button"
          class="link-button ellipsis mono"
          title="Show the whole difference"
          onClick={() => onOpen(row)}
        >
          {row.difference.split("\n")[0] ?? ""}
        </button>
      ),
    },
  ];
}
