export { bugReportCommand } from "./bug-report-command.ts";
