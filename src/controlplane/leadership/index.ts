export { leadAlone, type LeadershipOptions, type LeadingControllerOptions } from "./lead.ts";
