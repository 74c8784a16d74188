import type { ComponentChildren, JSX } from "preact";
import type { ConfigRow, EventRow } from "../../../api/dashboard/index.ts";
import { DataTable, Empty, Tag } from "../components/index.ts";
import { configColumns, eventColumns } from "./inspect-columns.tsx";

interface TabOfTable {
  readonly key: string;
  readonly title: ComponentChildren;
  readonly content: () => JSX.Element;
}

/** The tab with the configuration that concerns a service or workload. `none` says why there is none. */
export function configTab(rows: Readonly<Record<string, ConfigRow>>, none: ComponentChildren): TabOfTable {
  return {
    key: "config",
    title: (
      <>
        Config <Tag>{Object.keys(rows).length}</Tag>
      </>
    ),
    content: () => (
      <DataTable
        label="Configuration that applies to it"
        title="Configuration"
        id="c"
        noun={["object", "objects"]}
        rows={rows}
        columns={configColumns}
        order="messages"
        empty={<Empty title="No configuration applies to it">{none}</Empty>}
      />
    ),
  };
}

/** The tab with the Kubernetes events about a service or workload. `rows` is called when the tab is shown. */
export function eventsTab(rows: () => Readonly<Record<string, EventRow>>): TabOfTable {
  return {
    key: "events",
    title: "Events",
    content: () => (
      <DataTable
        label="Events"
        title="Events"
        id="v"
        noun={["event", "events"]}
        rows={rows()}
        columns={eventColumns}
        order="-at"
        wrap
        empty={<Empty title="No events">Kubernetes keeps them for an hour.</Empty>}
      />
    ),
  };
}
