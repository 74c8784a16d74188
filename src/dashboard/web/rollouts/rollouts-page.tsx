import type { JSX } from "preact";
import { Empty, Page } from "../components/index.ts";

export function RolloutsPage(): JSX.Element {
  return (
    <Page title="Rollouts">
      <Empty title="Not here yet" />
    </Page>
  );
}
