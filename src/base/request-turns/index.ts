// Answers the requests of one of node's HTTP servers in turns of its clients, with a limit for unread answers.
export { inTurns, type NextTurn } from "./in-turns.ts";
