// Which feature flags of upstream's control plane have an effect here.
export { readsVariable, unreadVariables } from "./unread-variables.ts";
