import type { ComponentChildren, JSX } from "preact";
import type { ServiceRow, WorkloadRow } from "../../../api/dashboard/index.ts";
import { HealthMark, Page } from "../components/index.ts";
import type { Live } from "../live/index.ts";
import { graphLink } from "./inspect-links.tsx";

interface ObjectPageProps<Name extends "service" | "workload"> {
  readonly namespace: string;
  readonly name: string;
  /** The view with the list of such objects. */
  readonly list: { readonly title: string; readonly path: readonly string[] };
  readonly kind: string;
  readonly live: Live<Name>;
  /** If undefined, the first view has not arrived yet. */
  readonly row: Pick<ServiceRow | WorkloadRow, "health" | "reason"> | undefined;
  readonly children: ComponentChildren;
}

/** The page of a workload or service. Its health, the reason and a link to the graph are below its name. */
export function ObjectPage<Name extends "service" | "workload">({
  namespace,
  name,
  list,
  kind,
  live,
  row,
  children,
}: ObjectPageProps<Name>): JSX.Element {
  return (
    <Page
      title={name}
      crumbs={[list]}
      live={live}
      subtitle={
        <span class="row">
          {row === undefined ? undefined : <HealthMark health={row.health} />}
          {row === undefined || row.reason === "" ? undefined : <span>{row.reason}</span>}
          <span>
            {kind} in {namespace}
          </span>
        </span>
      }
      tools={
        <a class="button" href={graphLink(namespace, name)}>
          In the graph
        </a>
      }
    >
      {children}
    </Page>
  );
}
