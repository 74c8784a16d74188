export { dashboardCommands } from "./dashboard-command.ts";
export { openBrowser } from "./open-browser.ts";
