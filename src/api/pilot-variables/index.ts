// Which variables of upstream's control plane have an effect here.
export { booleanVariables, readsVariable } from "./read-variables.ts";
export { unreadVariables } from "./unread-variables.ts";
