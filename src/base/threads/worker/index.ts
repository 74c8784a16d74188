/** The code inside of a thread. It has its own door, so that the processes that start threads do not load it. */
export { answerTasks } from "./answer-tasks.ts";
export { cutName, reviewedObject } from "./reviewed-object.ts";
