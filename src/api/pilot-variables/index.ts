// The feature flags of upstream's control plane: which have an effect here.
export { readsVariable, unreadVariables } from "./unread-variables.ts";
