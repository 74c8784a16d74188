// Lets clients of a Node HTTP server take turns, and limits their unread answers.
export { inTurns, type NextTurn } from "./in-turns.ts";
