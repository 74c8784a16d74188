export type { CliContext, ConnectionFlags, Installer } from "./context.ts";
export { createProgram } from "./program.ts";
export { renderTable } from "./table.ts";
