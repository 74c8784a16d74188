import type { JSX } from "preact";
import { Empty, Page } from "../components/index.ts";

export function ServicePage(): JSX.Element {
  return (
    <Page title="Service">
      <Empty title="Not here yet" />
    </Page>
  );
}
