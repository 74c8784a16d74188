import type { JSX } from "preact";
import { Empty, Page } from "../components/index.ts";

export function OverviewPage(): JSX.Element {
  return (
    <Page title="Overview">
      <Empty title="Not here yet" />
    </Page>
  );
}
