# Alarms on the tables of tables.tf. Each looks at five minutes and fires if three of them are bad.

variable "alarm_topic_arn" {
  description = "The SNS topic that alarms are sent to."
  type        = string
}

locals {
  # CloudWatch has these metrics for each table and operation. These are the operations of the application.
  operations = [
    "BatchGetItem",
    "BatchWriteItem",
    "DeleteItem",
    "GetItem",
    "PutItem",
    "Query",
    "Scan",
    "TransactWriteItems",
    "UpdateItem",
  ]

  alarms = {
    # The application repeats a throttled request until AWS_DB_TIMEOUT, and then raises DbThrottledError.
    ThrottledRequests = { statistic = "Sum", expression = "SUM(FILL(METRICS(), 0))", threshold = 0 }
    # DynamoDB's own faults. The application repeats what can be repeated.
    SystemErrors = { statistic = "Sum", expression = "SUM(FILL(METRICS(), 0))", threshold = 0 }
    # Milliseconds of the slowest hundredth of an operation's requests, without the time on the network.
    SuccessfulRequestLatency = { statistic = "p99", expression = "MAX(METRICS())", threshold = 100 }
  }

  alarms_of_tables = {
    for pair in setproduct(keys(local.tables), keys(local.alarms)) :
    "${pair[0]}-${pair[1]}" => merge(local.alarms[pair[1]], { table = "${var.prefix}_${pair[0]}", metric = pair[1] })
  }
}

resource "aws_cloudwatch_metric_alarm" "table" {
  for_each = local.alarms_of_tables

  alarm_name          = "${var.prefix}-${each.key}"
  alarm_actions       = [var.alarm_topic_arn]
  ok_actions          = [var.alarm_topic_arn]
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.threshold
  evaluation_periods  = 5
  datapoints_to_alarm = 3
  treat_missing_data  = "notBreaching"

  metric_query {
    id          = "all"
    expression  = each.value.expression
    label       = each.value.metric
    return_data = true
  }

  dynamic "metric_query" {
    for_each = local.operations
    content {
      # It has to begin with a small letter.
      id = "of${metric_query.value}"
      metric {
        namespace   = "AWS/DynamoDB"
        metric_name = each.value.metric
        period      = 60
        stat        = each.value.statistic
        dimensions  = { TableName = each.value.table, Operation = metric_query.value }
      }
    }
  }
}

# Requests that DynamoDB refused: a missing right, a wrong key. CloudWatch counts them for account and region only, with
# those of other applications. Throttled requests and conditions that did not hold are not among them.
resource "aws_cloudwatch_metric_alarm" "user_errors" {
  alarm_name          = "${var.prefix}-UserErrors"
  alarm_actions       = [var.alarm_topic_arn]
  ok_actions          = [var.alarm_topic_arn]
  namespace           = "AWS/DynamoDB"
  metric_name         = "UserErrors"
  statistic           = "Sum"
  period              = 60
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  evaluation_periods  = 5
  datapoints_to_alarm = 3
  treat_missing_data  = "notBreaching"
}
