// `serin dashboard`: opens the page of the mesh, of an addon or of a process.
export { dashboardCommands } from "./dashboard-command.ts";
export { openBrowser } from "./open-browser.ts";
