// The rights that the author of a rollout needs, because the engine acts with its own rights.
export { describeQuestion, questionsOfCanary, type AccessQuestion } from "./access-questions.ts";
export { AccessReviews } from "./access-reviews.ts";
export { AuthorKey } from "./author-key.ts";
export { authorOfRequest, planText, type Author } from "./author-record.ts";
export { reviewAuthor } from "./author-review.ts";
export { AuthorRights, type RightsRefusal } from "./author-rights.ts";
