// Converts the rollouts of Argo and Flagger to Canaries and Checks.
export { convertRollouts } from "./convert.ts";
