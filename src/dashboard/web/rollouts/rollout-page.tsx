import type { JSX } from "preact";
import { Empty, Page } from "../components/index.ts";

export function RolloutPage(): JSX.Element {
  return (
    <Page title="Rollout">
      <Empty title="Not here yet" />
    </Page>
  );
}
