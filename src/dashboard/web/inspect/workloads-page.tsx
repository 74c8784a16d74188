import type { JSX } from "preact";
import { Empty, Page } from "../components/index.ts";

export function WorkloadsPage(): JSX.Element {
  return (
    <Page title="Workloads">
      <Empty title="Not here yet" />
    </Page>
  );
}
