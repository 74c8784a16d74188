import type { JSX } from "preact";
import { Empty, Page } from "../components/index.ts";

export function AuditPage(): JSX.Element {
  return (
    <Page title="Audit">
      <Empty title="Not here yet" />
    </Page>
  );
}
