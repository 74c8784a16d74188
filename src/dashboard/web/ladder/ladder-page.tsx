import type { JSX } from "preact";
import { Empty, Page } from "../components/index.ts";

export function LadderPage(): JSX.Element {
  return (
    <Page title="Ladder">
      <Empty title="Not here yet" />
    </Page>
  );
}
