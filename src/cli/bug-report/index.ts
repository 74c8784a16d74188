// `serin bug-report`: collects the state of a mesh in an archive.
export { bugReportCommand } from "./bug-report-command.ts";
