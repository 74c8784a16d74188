export { readsVariable, unreadVariables } from "./unread-variables.ts";
