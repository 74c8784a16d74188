// For each controller, one replica of a revision leads. Only this replica writes.
export { leadAlone, type LeadershipOptions, type LeadingControllerOptions } from "./lead.ts";
