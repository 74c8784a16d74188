export { leadAlone, type LeadershipOptions } from "./lead.ts";
