import type { JSX } from "preact";
import { Empty, Page } from "../components/index.ts";

export function ConfigPage(): JSX.Element {
  return (
    <Page title="Config">
      <Empty title="Not here yet" />
    </Page>
  );
}
