import type { JSX } from "preact";
import { DataTable, Empty, Page } from "../components/index.ts";
import { useLive } from "../live/index.ts";
import { chosenNamespaces } from "../router.ts";
import { serviceColumns, serviceText } from "./inspect-columns.tsx";

export function ServicesPage(): JSX.Element {
  const live = useLive("services", { namespaces: chosenNamespaces.value });
  return (
    <Page title="Services" live={live}>
      <DataTable
        label="Services"
        noun={["service", "services"]}
        rows={live.table("services").value}
        columns={serviceColumns}
        order="health"
        text={serviceText}
        empty={<Empty title="No services">The selected namespaces have none that you may see.</Empty>}
      />
    </Page>
  );
}
