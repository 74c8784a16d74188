import type { JSX } from "preact";
import { Empty, Page } from "../components/index.ts";

export function GraphPage(): JSX.Element {
  return (
    <Page title="Graph">
      <Empty title="Not here yet" />
    </Page>
  );
}
