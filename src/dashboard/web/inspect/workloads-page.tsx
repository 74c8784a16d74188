import type { JSX } from "preact";
import { DataTable, Empty, Page } from "../components/index.ts";
import { useLive } from "../live/index.ts";
import { chosenNamespaces } from "../router.ts";
import { workloadColumns, workloadText } from "./inspect-columns.tsx";

export function WorkloadsPage(): JSX.Element {
  const live = useLive("workloads", { namespaces: chosenNamespaces.value });
  return (
    <Page title="Workloads" live={live}>
      <DataTable
        label="Workloads"
        noun={["workload", "workloads"]}
        rows={live.table("workloads").value}
        columns={workloadColumns}
        order="health"
        text={workloadText}
        empty={
          <Empty title="No workloads">
            The selected namespaces have none that you may see. Select other namespaces above, or deploy a workload:
            kubectl apply -f …
          </Empty>
        }
      />
    </Page>
  );
}
