import type { JSX } from "preact";
import { Empty, Page } from "../components/index.ts";

export function WorkloadPage(): JSX.Element {
  return (
    <Page title="Workload">
      <Empty title="Not here yet" />
    </Page>
  );
}
