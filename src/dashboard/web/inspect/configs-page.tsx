import type { JSX } from "preact";
import { DataTable, Empty, Page } from "../components/index.ts";
import { useLive } from "../live/index.ts";
import { chosenNamespaces, linkTo } from "../router.ts";
import { configColumns, configText } from "./inspect-columns.tsx";

export function ConfigsPage(): JSX.Element {
  const live = useLive("configs", { namespaces: chosenNamespaces.value });
  const create = (
    <a class="button" data-kind="primary" href={linkTo(["config", "new"])}>
      New object or what-if
    </a>
  );
  return (
    <Page title="Config" live={live} tools={create}>
      <DataTable
        label="Configuration"
        noun={["object", "objects"]}
        rows={live.table("configs").value}
        columns={configColumns}
        order="messages"
        text={configText}
        empty={
          <Empty title="No configuration">
            The selected namespaces have no object of the mesh's kinds that you may see.
          </Empty>
        }
      />
    </Page>
  );
}
