<?php
// Track an event, then ask what to recommend. Needs RECSAAS_KEY; RECSAAS_URL is where the service answers.
// For PHP 8, no extension needed: php recommend.php
declare(strict_types=1);

$url = getenv('RECSAAS_URL') ?: 'http://127.0.0.1:8000';
$key = getenv('RECSAAS_KEY');
[$user, $item, $eventId] = array_slice($argv, 1) + ['user-17', 'item-1', 'view-1'];

/** Send JSON, return JSON. A refusal says what to do about it. */
function post(string $address, string $key, array $body): array
{
    $context = stream_context_create(['http' => [
        'method' => 'POST',
        'header' => "Authorization: Bearer $key\r\nContent-Type: application/json\r\n",
        'content' => json_encode($body, JSON_THROW_ON_ERROR),
        'timeout' => 5,
        'ignore_errors' => true, // a refusal has a body too
    ]]);
    $text = file_get_contents($address, false, $context);
    if ($text === false) {
        throw new RuntimeException("$address does not answer");
    }
    $answer = json_decode($text, true, 512, JSON_THROW_ON_ERROR);
    if (isset($answer['error'])) {
        $error = $answer['error'];
        throw new RuntimeException("{$error['code']}: {$error['message']} (request {$error['request_id']})");
    }
    return $answer;
}

// The event_id makes a retry harmless: the same one again changes nothing.
post("$url/api/v1/interactions", $key, [
    'user_id' => $user, 'item_id' => $item, 'interaction_type' => 'view', 'event_id' => $eventId,
]);

$answer = post("$url/api/v1/recommendations", $key, ['user_id' => $user, 'count' => 3]);
foreach ($answer['recommendations'] as $each) {
    echo "{$each['rank']}. {$each['item_id']} {$each['title']} ({$each['source']}: {$each['reason']})\n";
}
