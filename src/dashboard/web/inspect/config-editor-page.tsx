import type { JSX } from "preact";
import { Empty, Page } from "../components/index.ts";

export function ConfigEditorPage(): JSX.Element {
  return (
    <Page title="New config">
      <Empty title="Not here yet" />
    </Page>
  );
}
