import type { JSX } from "preact";
import { Empty, Page } from "../components/index.ts";

export function ServicesPage(): JSX.Element {
  return (
    <Page title="Services">
      <Empty title="Not here yet" />
    </Page>
  );
}
