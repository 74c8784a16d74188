// The building blocks of pages: tables, dialogs, tabs, marks of state.
export { Age, Moment, Until } from "./age.tsx";
export { chosenTime } from "./chosen-time.ts";
export { CommandLine, YamlBlock } from "./copyable.tsx";
export type { Column } from "./column.ts";
export { DataTable } from "./data-table.tsx";
export { Dialog, useIsOpen } from "./dialog.tsx";
export { Icon, type IconName } from "./icon.tsx";
export { Lazy } from "./lazy.tsx";
export { HealthMark, Mark, PhaseMark, ProxyMark, Tag, type Tone } from "./mark.tsx";
export { Page } from "./page.tsx";
export { SearchField } from "./search-field.tsx";
export { Empty, Loading, Notice, ProblemBlock, ProblemNotice } from "./states.tsx";
export { Tabs } from "./tabs.tsx";
export { toast, Toasts } from "./toasts.tsx";
